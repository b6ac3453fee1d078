#!/usr/bin/env python3
"""Runs a program under the system-call filter of paddock@.service, without systemd: run-filtered.py UNIT PROGRAM [ARGUMENT...]

The groups of SystemCallFilter= are expanded by `systemd-analyze syscall-filter`. x86-64; exit 77 where something for it is missing.
"""
import ctypes, os, re, shutil, struct, subprocess, sys

HEADER = '/usr/include/x86_64-linux-gnu/asm/unistd_64.h'
ALLOW, KILL, ERROR = 0x7FFF0000, 0x80000000, 0x00050000
if not shutil.which('systemd-analyze') or not os.path.exists(HEADER) or os.uname().machine != 'x86_64':
    sys.exit(77)
unit = open(sys.argv[1]).read()


def expand(group, seen):
    text = subprocess.run(['systemd-analyze', 'syscall-filter', group], capture_output=True, text=True, check=True).stdout
    calls = set()
    for word in text.split('\n'):
        word = word.strip()
        if word.startswith('@') and word not in seen:
            calls |= expand(word, seen | {word})
        elif re.fullmatch(r'[a-z0-9_]+', word):
            calls.add(word)
    return calls


allowed = set()
for line in re.findall(r'^SystemCallFilter=(.*)$', unit, re.M):
    for name in line.lstrip('~').split():
        calls = expand(name, {name}) if name.startswith('@') else {name}
        allowed = allowed - calls if line.startswith('~') else allowed | calls
# systemd allows these always: without them nothing could start or end
allowed |= {'execve', 'exit', 'exit_group', 'getrlimit', 'rt_sigreturn', 'sigreturn'}
numbers = {m[1]: int(m[2]) for m in re.finditer(r'#define __NR_(\w+)\s+(\d+)', open(HEADER).read())}
refused = ERROR | 1 if 'SystemCallErrorNumber=EPERM' in unit else KILL


def op(code, yes, no, value):
    return struct.pack('<HBBI', code, yes, no, value)


program = [op(0x20, 0, 0, 0)]
for call in sorted(numbers[a] for a in allowed if a in numbers):
    program += [op(0x15, 0, 1, call), op(0x06, 0, 0, ALLOW)]
program.append(op(0x06, 0, 0, refused))
code = ctypes.create_string_buffer(b''.join(program))
argument = ctypes.create_string_buffer(struct.pack('<HxxxxxxQ', len(program), ctypes.addressof(code)))
libc = ctypes.CDLL(None, use_errno=True)
if libc.prctl(38, 1, 0, 0, 0):
    sys.exit(77)
if 'MemoryDenyWriteExecute=yes' in unit:
    # from Linux 6.3 on; older kernels cannot, and the rest is still worth a run
    libc.prctl(65, 1, 0, 0, 0)
if libc.prctl(22, 2, argument, 0, 0):
    sys.exit(77)
os.execv(sys.argv[2], sys.argv[2:])
