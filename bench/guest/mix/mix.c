// The CPU mix. Every part runs for a time, or for a number of units, and prints a line:
//   NAME units nanoseconds sum best-units best-nanoseconds last-units last-nanoseconds
// Units are run in batches that grow until one takes 20 ms. The first two numbers are of the whole time, the warming up included;
// "best" and "last" are of single batches. Arguments: ms=1000 | units=N, parts=NAME,NAME…, alarm=N: a signal every N microseconds
// that whatever runs has to bear.

#include "parts.h"

static const struct part PARTS[] = {
  {"rounds", 0, rounds, 0, 0},
  {"sieve", 0, sieve, 0, 0},
  {"list", 0, list, 0, 0},
  {"matrix", 0, matrix_int, 0, 0},
  {"double", 0, matrix_double, 0, 0},
  {"state", 0, state, 0, 0},
  {"crc", 0, crc, 0, 0},
  {"qsort", 0, quicksort, 0, 0},
  {"x87", 0, x87, 0, 0},
  {"memcpy", 0, copy, copy_setup, 0},
  {"chase", 0, chase, chase_setup, 0},
  {"switch", 0, bytecode_switch, bytecode_setup, 0},
  {"goto", 0, bytecode_goto, bytecode_setup, 0},
  {"fib", 0, fib, 0, 0},
  {"chacha", 0, chacha, 0, 0},
  {"hash64", 0, hash64, 0, 0},
  {"syscall", 1, system_call, 0, 0},
  {"fork", 1, fork_exit, 0, 0},
  {"fault", 1, page_faults, 0, 0},
  {"pipe", 1, ping_pong, ping_pong_setup, ping_pong_teardown},
};

static const u64 BATCH_NS = 20000000;

static void run(const struct part *part, u64 time, u64 units) {
  if (part->setup) part->setup();
  u64 sum = 0, done = 0, total = 0, batch = 1, last_ns = 0, last_units = 0, best_ns = 0, best_units = 0;
  u64 started = now(), from = started;
  do {
    if (units && batch > units - done) batch = units - done;
    for (u64 n = 0; n < batch; n++) {
      u64 got = part->unit();
      if (done + n == 0) sum = got;
      else if (got != sum) {
        print(part->name);
        print(": unit ");
        print_decimal(done + n);
        print(" gave another sum than the first, ");
        print_hex(sum, 16);
        print("\n");
        fail(part->name, got);
      }
    }
    done += batch;
    u64 at = now();
    last_ns = at - from;
    last_units = batch;
    total = at - started;
    from = at;
    // The faster of two is the one with more units in the time; short ones say too little.
    if (last_ns >= BATCH_NS / 4 && (!best_ns || (double)last_units * (double)best_ns > (double)best_units * (double)last_ns)) {
      best_ns = last_ns;
      best_units = last_units;
    }
    if (last_ns < BATCH_NS) batch *= 2;
  } while (units ? done < units : total < time);
  print(part->name);
  const u64 numbers[] = {done, total, sum, best_units, best_ns, last_units, last_ns};
  for (u32 n = 0; n < COUNT(numbers); n++) {
    print(" ");
    if (n == 2) print_hex(numbers[n], 16);
    else print_decimal(numbers[n]);
  }
  print("\n");
  if (part->teardown) part->teardown();
}

static u32 alarms;

static void on_alarm(int signal, u8 *address) {
  (void)signal, (void)address;
  alarms++;
}

/** SIGALRM again and again (setitimer(2), ITIMER_REAL); 0: no more. */
static void ring_every(u64 us) {
  const word timer[4] = {0, us, 0, us};
  call3(SYS_setitimer, 0, timer, 0);
}

int program(int argc, char **argv) {
  u64 time = 1000000000, units = 0, alarm = 0;
  const char *wanted = 0, *value;
  for (int n = 1; n < argc; n++) {
    if ((value = argument(argv[n], "ms"))) time = number(value) * 1000000;
    else if ((value = argument(argv[n], "units"))) units = number(value);
    else if ((value = argument(argv[n], "alarm"))) alarm = number(value);
    else if ((value = argument(argv[n], "parts"))) wanted = value;
  }
  print("mix: start\n");
  if (alarm) {
    handle(SIGALRM, on_alarm);
    ring_every(alarm);
  }
  for (u32 n = 0; n < COUNT(PARTS); n++) if (is_wanted(wanted, PARTS[n].name)) run(&PARTS[n], time, units);
  if (alarm) {
    ring_every(0);
    print("alarms ");
    print_decimal(alarms);
    print("\n");
  }
  return 0;
}
