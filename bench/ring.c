/* Measures an NVMe namespace from inside a guest: one thread keeps a number of commands in flight by io_uring passthrough (URING_CMD on the generic
 * device), below the block layer. The block layer would hold back all but one write of a zone, and sends no Zone Append of its own.
 *
 *   ring DEVICE read|randread|write|append BYTES DEPTH SECONDS FIRST_LBA BLOCKS ZONE_BLOCKS BLOCK_BYTES
 *
 * FIRST_LBA to FIRST_LBA + BLOCKS is what it uses, whole zones of ZONE_BLOCKS. write and append reset each zone before they fill it, once no command is
 * in flight. Prints "IOPS P50 P99": commands in each second, and microseconds from submission to completion. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <linux/nvme_ioctl.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { MAX_DEPTH = 256, SQE = 128, CQE = 32, SAMPLES = 1 << 22 };
enum { OPCODE_WRITE = 0x01, OPCODE_READ = 0x02, OPCODE_ZONE_SEND = 0x79, OPCODE_APPEND = 0x7d, ZONE_RESET = 4 };

static int ring_fd, device;
static unsigned *sq_tail, *sq_mask, *sq_array, *cq_head, *cq_tail, *cq_mask;
static uint8_t *sqes, *cqes;
static uint64_t started[MAX_DEPTH];
static uint32_t *samples;
static size_t sampled;

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static uint64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void set_up(unsigned depth)
{
    struct io_uring_params p = { .flags = IORING_SETUP_SQE128 | IORING_SETUP_CQE32 };
    ring_fd = (int)syscall(__NR_io_uring_setup, depth, &p);
    if (ring_fd < 0)
        die("io_uring_setup");
    uint8_t *sq = mmap(0, p.sq_off.array + p.sq_entries * 4, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring_fd, IORING_OFF_SQ_RING);
    uint8_t *cq = mmap(0, p.cq_off.cqes + p.cq_entries * CQE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring_fd, IORING_OFF_CQ_RING);
    sqes = mmap(0, p.sq_entries * SQE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring_fd, IORING_OFF_SQES);
    if (sq == MAP_FAILED || cq == MAP_FAILED || sqes == MAP_FAILED)
        die("mmap");
    sq_tail = (unsigned *)(sq + p.sq_off.tail);
    sq_mask = (unsigned *)(sq + p.sq_off.ring_mask);
    sq_array = (unsigned *)(sq + p.sq_off.array);
    cq_head = (unsigned *)(cq + p.cq_off.head);
    cq_tail = (unsigned *)(cq + p.cq_off.tail);
    cq_mask = (unsigned *)(cq + p.cq_off.ring_mask);
    cqes = cq + p.cq_off.cqes;
}

static unsigned namespace_id;

static void push(int opcode, unsigned slot, void *buffer, unsigned bytes, uint64_t lba, unsigned blocks)
{
    unsigned tail = *sq_tail, index = tail & *sq_mask;
    struct io_uring_sqe *sqe = (struct io_uring_sqe *)(sqes + index * SQE);
    memset(sqe, 0, SQE);
    sqe->opcode = IORING_OP_URING_CMD;
    sqe->fd = device;
    sqe->cmd_op = NVME_URING_CMD_IO;
    sqe->user_data = slot;
    struct nvme_uring_cmd *command = (struct nvme_uring_cmd *)((uint8_t *)sqe + 48);
    command->opcode = (uint8_t)opcode;
    command->nsid = namespace_id;
    command->addr = (uint64_t)(uintptr_t)buffer;
    command->data_len = bytes;
    command->cdw10 = (uint32_t)lba;
    command->cdw11 = (uint32_t)(lba >> 32);
    command->cdw12 = blocks - 1;
    sq_array[index] = index;
    __atomic_store_n(sq_tail, tail + 1, __ATOMIC_RELEASE);
    started[slot] = now();
}

static void reset_zone(uint64_t lba)
{
    struct nvme_passthru_cmd command = { .opcode = OPCODE_ZONE_SEND, .nsid = namespace_id, .cdw10 = (uint32_t)lba, .cdw11 = (uint32_t)(lba >> 32), .cdw13 = ZONE_RESET };
    int status = ioctl(device, NVME_IOCTL_IO_CMD, &command);
    if (status != 0) {
        fprintf(stderr, "reset of the zone at %llu: status %x\n", (unsigned long long)lba, status);
        exit(1);
    }
}

static int by_value(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

int main(int count, char **words)
{
    if (count != 10) {
        fprintf(stderr, "usage: ring DEVICE read|randread|write|append BYTES DEPTH SECONDS FIRST_LBA BLOCKS ZONE_BLOCKS BLOCK_BYTES\n");
        return 2;
    }
    const char *kind = words[2];
    unsigned bytes = (unsigned)atoi(words[3]), depth = (unsigned)atoi(words[4]), seconds = (unsigned)atoi(words[5]);
    uint64_t first = strtoull(words[6], 0, 10), area = strtoull(words[7], 0, 10), zone = strtoull(words[8], 0, 10);
    unsigned blocks = bytes / (unsigned)atoi(words[9]);
    int reads = strstr(kind, "read") != 0, random = !strcmp(kind, "randread"), appends = !strcmp(kind, "append");
    int opcode = reads ? OPCODE_READ : appends ? OPCODE_APPEND : OPCODE_WRITE;
    if (depth == 0 || depth > MAX_DEPTH)
        return 2;
    device = open(words[1], O_RDWR);
    if (device < 0)
        die(words[1]);
    namespace_id = (unsigned)ioctl(device, NVME_IOCTL_ID);
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(0, &one);
    sched_setaffinity(0, sizeof one, &one);
    set_up(depth);
    uint8_t *data = mmap(0, (size_t)bytes * depth, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    samples = malloc(SAMPLES * sizeof *samples);
    if (data == MAP_FAILED || samples == 0)
        die("memory");
    for (size_t i = 0; i < (size_t)bytes * depth; i += 8)
        *(uint64_t *)(data + i) = i * 0x9e3779b97f4a7c15u;
    unsigned slots[MAX_DEPTH], idle = depth, pushed = 0;
    for (unsigned i = 0; i < depth; i++)
        slots[i] = i;
    uint64_t at = first, done = 0, seed = 88172645463325252u, begin = now(), end = begin + (uint64_t)seconds * 1000000000u;
    for (;;) {
        int over = now() >= end;
        while (idle > 0 && !over) {
            if (random) {
                seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
                at = first + seed % (area / blocks) * blocks;
            } else if (at >= first + area) {
                at = first;
            }
            if (!reads && (at - first) % zone == 0) {
                /* a new zone begins: wait for what is in flight */
                if (idle < depth)
                    break;
                reset_zone(at);
            }
            unsigned slot = slots[--idle];
            push(opcode, slot, data + (size_t)slot * bytes, bytes, appends ? at - (at - first) % zone : at, blocks);
            at += blocks;
            pushed++;
        }
        if (idle == depth && over)
            break;
        int entered = (int)syscall(__NR_io_uring_enter, ring_fd, pushed, 1, IORING_ENTER_GETEVENTS, 0, 0);
        if (entered < 0 && errno != EINTR)
            die("io_uring_enter");
        pushed -= entered > 0 ? (unsigned)entered : 0;
        unsigned head = *cq_head, tail = __atomic_load_n(cq_tail, __ATOMIC_ACQUIRE);
        uint64_t at_completion = now();
        for (; head != tail; head++) {
            struct io_uring_cqe *cqe = (struct io_uring_cqe *)(cqes + (size_t)(head & *cq_mask) * CQE);
            if (cqe->res != 0) {
                fprintf(stderr, "%s: status %d\n", kind, cqe->res);
                return 1;
            }
            unsigned slot = (unsigned)cqe->user_data;
            if (sampled < SAMPLES)
                samples[sampled++] = (uint32_t)((at_completion - started[slot]) / 1000);
            slots[idle++] = slot;
            done++;
        }
        __atomic_store_n(cq_head, head, __ATOMIC_RELEASE);
    }
    double took = (double)(now() - begin) / 1e9;
    qsort(samples, sampled, sizeof *samples, by_value);
    printf("%.0f %u %u\n", (double)done / took, sampled ? samples[sampled / 2] : 0, sampled ? samples[sampled * 99 / 100] : 0);
    return 0;
}
