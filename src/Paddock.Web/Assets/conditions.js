// Zone conditions by their numbers in zone reports: names, colours, and the marks that do not rely on colour.
export const CONDITIONS = new Map([
  [0, { name: 'conventional', colour: '--conventional', mark: '' }],
  [1, { name: 'empty', colour: '--empty', mark: '' }],
  [2, { name: 'implicitly open', colour: '--implicit', mark: '' }],
  [3, { name: 'explicitly open', colour: '--explicit', mark: '●' }],
  [4, { name: 'closed', colour: '--closed', mark: '' }],
  [14, { name: 'full', colour: '--full', mark: '' }],
  [13, { name: 'read only', colour: '--readonly', mark: '–' }],
  [15, { name: 'offline', colour: '--offline', mark: '×' }],
]);

// What the state of a disk means for its clients; an active one needs no words.
export const STATES = new Map([
  ['handing over', 'handing over to another server'],
  ['standby', 'standby: another server owns the image'],
  ['lost', 'lost: another server has taken the image over'],
]);

export const nameOf = condition => CONDITIONS.get(condition)?.name ?? 'unknown';
