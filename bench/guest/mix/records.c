// Writes that must last: numbered records, each safe (fsync(2)) before it is told of. Started again on what was left, it looks whether all of them are
// there, and goes on behind the last. Prints
//   found N        records 1 to N are there, in full
//   safe N         record N is written and its fsync has returned
//   refused N      its write or fsync failed; it is tried again after a while
// Arguments: log=PATH (a file, or a disk), folder=PATH (where every fourth record makes a file, too; without it none), least=N (it is an error to find less), mib=N
// (size of the log at most)

#include "system.h"

enum { O_RDWR = 2, O_CREAT = 0100, RECORD = 4096, FILES = 8, EVERY = 4, LARGEST = 60000 };

static u8 record[RECORD], found[RECORD], contents[LARGEST], read_back[LARGEST];
static const char *folder;
static int disk;

/** The record's bytes: all depend on its number. */
static void make(u8 *at, u32 bytes, u32 number) {
  u32 seed = number * 2654435761u + 1;
  for (u32 n = 0; n + 4 <= bytes; n += 4) {
    *(u32 *)(at + n) = n ? next_random(&seed) : number;
  }
}

static int same(const u8 *a, const u8 *b, u32 bytes) {
  for (u32 n = 0; n < bytes; n++) if (a[n] != b[n]) return 0;
  return 1;
}

/** Bytes of the file of a record, a multiple of 4. */
static u32 length_of(u32 number) {
  u32 seed = number;
  return next_random(&seed) % (LARGEST / 4) * 4;
}

static void path_of(char *to, u32 number) {
  const char *from = folder;
  while (*from) *to++ = *from++;
  *to++ = '/';
  char digits[12];
  int n = 0;
  do digits[n++] = (char)('0' + number % 10); while (number /= 10);
  while (n) *to++ = digits[--n];
  *to = 0;
}

static word transfer(word number, int file, void *at, word bytes, u64 from) {
#ifdef __x86_64__
  return call4(number, file, at, bytes, from);
#else
  return call(number, (word)file, (word)at, bytes, (word)from, (word)(from >> 32), 0);
#endif
}

static void tell(const char *what, u64 number) {
  print(what);
  print(" ");
  print_decimal(number);
  print("\n");
}

/** Whether the file of a record is there, with all its bytes. */
static int has_file(u32 number) {
  char path[200];
  path_of(path, number);
  const int file = (int)call3(SYS_open, path, 0, 0);
  if (file < 0) return 0;
  const u32 bytes = length_of(number);
  make(contents, bytes, number);
  const word got = transfer(SYS_pread64, file, read_back, LARGEST, 0);
  call1(SYS_close, file);
  return got == bytes && same(contents, read_back, bytes);
}

/** @returns 0 if it is safe */
static word write_file(u32 number) {
  char path[200];
  if (number > FILES * EVERY) {
    // Room is found and given back again and again: tables change, too.
    path_of(path, number - FILES * EVERY);
    call1(SYS_unlink, path);
  }
  path_of(path, number);
  const int file = (int)call3(SYS_open, path, O_RDWR | O_CREAT, 0644);
  if (file < 0) return (word)file;
  const u32 bytes = length_of(number);
  make(contents, bytes, number);
  const word written = bytes ? transfer(SYS_pwrite64, file, contents, bytes, 0) : 0;
  const word failed = written == bytes ? call1(SYS_fsync, file) : written + 1;
  call1(SYS_close, file);
  return failed;
}

int program(int argc, char **argv) {
  const char *value, *log = "/dev/vda";
  u32 least = 0, most = 0xffffffff;
  for (int n = 1; n < argc; n++) {
    if ((value = argument(argv[n], "log"))) log = value;
    else if ((value = argument(argv[n], "folder"))) folder = value;
    else if ((value = argument(argv[n], "least"))) least = (u32)number(value);
    else if ((value = argument(argv[n], "mib"))) most = (u32)number(value) * (1048576 / RECORD);
  }
  print("records: start\n");
  for (u32 tries = 0; tries < 300; tries++) {
    disk = (int)call3(SYS_open, log, O_RDWR | O_CREAT, 0644);
    if (disk >= 0) break;
    pause_ms(50);
  }
  if (disk < 0) fail(log, (u64)-disk);
  u32 last = 0;
  for (; last < most; last++) {
    make(record, RECORD, last + 1);
    if (transfer(SYS_pread64, disk, found, RECORD, (u64)last * RECORD) != RECORD || !same(record, found, RECORD)) break;
  }
  // The record behind the last one that is known to be safe may be half there.
  if (folder) {
    for (u32 n = last - last % EVERY; n && n + (FILES - 1) * EVERY > last; n -= EVERY) {
      if (n <= least && !has_file(n)) fail("the file of record", n);
    }
  }
  // Nor need its file be.
  if (last && folder && last % EVERY == 0 && !has_file(last) && write_file(last)) fail("the file of record", last);
  tell("found", last);
  if (last < least) fail("records are missing from", last + 1);
  for (u32 n = last + 1; n <= most; n++) {
    make(record, RECORD, n);
    while (transfer(SYS_pwrite64, disk, record, RECORD, (u64)(n - 1) * RECORD) != RECORD || call1(SYS_fsync, disk) || (folder && n % EVERY == 0 && write_file(n))) {
      tell("refused", n);
      pause_ms(500);
    }
    tell("safe", n);
  }
  return 0;
}
