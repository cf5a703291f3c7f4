// What the programs of this folder stand on: Linux system calls and a little output, with no C library, so that what runs is the same
// whatever library a computer has. System call numbers: Linux, arch/x86/entry/syscalls/syscall_32.tbl and syscall_64.tbl.

#pragma once

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef int i32;
typedef unsigned long long u64;
typedef long long i64;
typedef unsigned long word;

#define NOINLINE __attribute__((noinline))
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#ifdef __x86_64__
enum {
  SYS_read = 0, SYS_write = 1, SYS_open = 2, SYS_close = 3, SYS_mmap = 9, SYS_mprotect = 10, SYS_munmap = 11, SYS_pipe = 22, SYS_mremap = 25, SYS_getpid = 39,
  SYS_fork = 57, SYS_execve = 59, SYS_exit = 60, SYS_wait4 = 61, SYS_getppid = 110, SYS_reboot = 169, SYS_unlink = 87, SYS_ioctl = 16, SYS_clock_gettime = 228, SYS_memfd_create = 319, SYS_rt_sigaction = 13, SYS_setitimer = 38, SYS_ftruncate = 77,
  SYS_kill = 62, SYS_sigaltstack = 131, SYS_pread64 = 17, SYS_pwrite64 = 18, SYS_nanosleep = 35, SYS_fsync = 74, SYS_io_setup = 206, SYS_io_getevents = 208,
  SYS_io_submit = 209, SYS_socket = 41, SYS_connect = 42, SYS_sendto = 44, SYS_recvfrom = 45, SYS_shutdown = 48, SYS_bind = 49, SYS_setsockopt = 54,
};
#else
enum {
  SYS_exit = 1, SYS_fork = 2, SYS_read = 3, SYS_write = 4, SYS_open = 5, SYS_close = 6, SYS_execve = 11, SYS_getpid = 20, SYS_pipe = 42, SYS_getppid = 64,
  SYS_reboot = 88, SYS_unlink = 10, SYS_ioctl = 54, SYS_munmap = 91, SYS_wait4 = 114, SYS_mprotect = 125, SYS_mremap = 163, SYS_mmap = 192, SYS_clock_gettime = 265, SYS_memfd_create = 356, SYS_rt_sigaction = 174, SYS_setitimer = 104, SYS_ftruncate = 93,
  SYS_kill = 37, SYS_sigaltstack = 186, SYS_pread64 = 180, SYS_pwrite64 = 181, SYS_nanosleep = 162, SYS_fsync = 118, SYS_io_setup = 245, SYS_io_getevents = 247,
  SYS_io_submit = 248, SYS_socket = 359, SYS_connect = 362, SYS_sendto = 369, SYS_recvfrom = 371, SYS_shutdown = 373, SYS_bind = 361, SYS_setsockopt = 366,
};
#endif

enum { PROT_READ = 1, PROT_WRITE = 2, PROT_EXEC = 4 };
enum { MREMAP_MAYMOVE = 1, MREMAP_FIXED = 2 };
enum { SIGKILL = 9, SIGSEGV = 11, SIGALRM = 14 };
enum { MAP_SHARED = 1, MAP_PRIVATE = 2, MAP_FIXED = 0x10, MAP_ANONYMOUS = 0x20 };

/** The system call as a C library makes it: on i386 by the kernel's own entry code (AT_SYSINFO) where it has one. */
word call(word number, word a, word b, word c, word d, word e, word f);

#define call0(n) call(n, 0, 0, 0, 0, 0, 0)
#define call1(n, a) call(n, (word)(a), 0, 0, 0, 0, 0)
#define call2(n, a, b) call(n, (word)(a), (word)(b), 0, 0, 0, 0)
#define call3(n, a, b, c) call(n, (word)(a), (word)(b), (word)(c), 0, 0, 0)
#define call4(n, a, b, c, d) call(n, (word)(a), (word)(b), (word)(c), (word)(d), 0, 0)

/** Anonymous memory, or what a file has from its start on (file -1: none). Ends the program where there is none. */
void *map(word bytes, int protection, int flags, int file);

/** CLOCK_MONOTONIC, ns. */
u64 now(void);

/**
 * Have a signal handled by a function, on a stack of its own; it gets the address of a fault. System calls go on after it.
 * Without a function it does again what it does by default.
 */
void handle(int signal, void (*handler)(int signal, u8 *address));

/** A copy of this process. @returns 0 in the copy, its id in the original */
word split(void);
/** End this process, and only it. */
__attribute__((noreturn)) void leave(int status);

/** Wait for a child. @returns its status as wait(2) has it */
int wait_for(word pid);

void pause_ms(u32 ms);

/** Latencies of up to this many operations; of more, the last ones. */
enum { LATENCIES = 16384 };
struct latencies {
  u32 ns[LATENCIES];
  u32 count;
};
void took(struct latencies *them, u64 ns);
/** Print " MEDIAN P99" in ns, and forget them. */
void print_latencies(struct latencies *them);

/**
 * Print "mark NAME" and give the host time to read the machine's counters before anything else is done: what lies between two marks
 * is counted.
 */
void mark(const char *name);

void print(const char *text);
void print_decimal(u64 value);
void print_hex(u64 value, int digits);
/** Print what went wrong and end. */
__attribute__((noreturn)) void fail(const char *what, u64 value);
/** Print "ended STATUS" and end; if this is the only process of a machine, that ends too. */
__attribute__((noreturn)) void finish(int status);

int equals(const char *a, const char *b);
/** What follows `name=` in an argument; 0 if it is another one. */
const char *argument(const char *text, const char *name);
/** Whether a name is in a list with commas; without a list all are. */
int is_wanted(const char *list, const char *name);
u64 number(const char *text);

/**
 * Every program's own; argv ends with 0. The arguments "then=PROGRAM …" are not among them: they are what the process goes on with
 * when this program has ended well.
 */
int program(int argc, char **argv);

static inline u32 next_random(u32 *state) {
  *state = *state * 1664525u + 1013904223u;
  return *state >> 8;
}

static inline u64 fold(u64 sum, u64 value) {
  sum = (sum ^ value) * 0x9e3779b97f4a7c15ull;
  return sum ^ (sum >> 29);
}
