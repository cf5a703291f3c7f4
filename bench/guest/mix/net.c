// A network as a program finds it: TCP in both directions, datagrams, and how long an answer takes. Its far end is bench/network.ts, at
// host:port. Each test prints
//   net TEST packets bytes nanoseconds median-latency p99-latency       (latencies in ns; 0 where there is no one answer to wait for)
// "packets" are datagrams that arrived, or blocks of TCP data. What arrives is checked on both sides.
// Arguments: host=A.B.C.D, port=N, ms=1000, tests=NAME,NAME (all)

#include "system.h"

enum { AF_INET = 2, SOCK_STREAM = 1, SOCK_DGRAM = 2, SOCK_RAW = 3, IPPROTO_ICMP = 1, SOL_SOCKET = 1, SO_RCVTIMEO = 20, SHUT_WR = 1 };
enum { PATTERN = 65536, DATAGRAM = 64, WINDOW = 32, EAGAIN = 11 };

struct address {
  u16 family, port;
  u32 host;
  u8 rest[8];
};

static struct address far;
static u64 duration;
static u32 duration_ms = 1000;
static u8 pattern[2 * PATTERN];
static struct latencies latencies;

static void report(const char *test, u64 packets, u64 bytes, u64 ns) {
  print("net ");
  print(test);
  const u64 numbers[] = {packets, bytes, ns};
  for (u32 n = 0; n < COUNT(numbers); n++) {
    print(" ");
    print_decimal(numbers[n]);
  }
  print_latencies(&latencies);
  print("\n");
}

static int is_error(word result) {
  return result > (word)-4096;
}

static int open_socket(int type, int protocol) {
  const word got = call3(SYS_socket, AF_INET, type, protocol);
  if (is_error(got)) fail("socket", got);
  return (int)got;
}

static int dial(char what) {
  const int socket = open_socket(SOCK_STREAM, 0);
  const word failed = call3(SYS_connect, socket, &far, sizeof far);
  if (failed) fail("connect", failed);
  const u32 ms = duration_ms;
  const u8 order[4] = {(u8)what, (u8)ms, (u8)(ms >> 8), 0};
  if (call3(SYS_write, socket, order, sizeof order) != sizeof order) fail("order", (u64)what);
  return socket;
}

/** All of it is there when the far end has told how much it got. */
static void tcp_send(const char *test) {
  const int socket = dial('S');
  const u64 from = now(), end = from + duration;
  u64 sent = 0, writes = 0;
  do {
    const word got = call3(SYS_write, socket, pattern + sent % PATTERN, PATTERN);
    if (is_error(got)) fail(test, got);
    sent += got;
    writes++;
  } while (now() < end);
  call2(SYS_shutdown, socket, SHUT_WR);
  u64 arrived = 0;
  u8 *at = (u8 *)&arrived;
  for (u32 n = 0; n < 8;) {
    const word got = call3(SYS_read, socket, at + n, 8 - n);
    if (got == 0 || is_error(got)) fail(test, got);
    n += (u32)got;
  }
  if (arrived != sent) fail("bytes that arrived", arrived);
  call1(SYS_close, socket);
  report(test, writes, sent, now() - from);
}

static void tcp_receive(const char *test) {
  static u8 buffer[PATTERN];
  const int socket = dial('R');
  const u64 from = now();
  u64 received = 0, reads = 0;
  for (;;) {
    const word got = call3(SYS_read, socket, buffer, sizeof buffer);
    if (is_error(got)) fail(test, got);
    if (got == 0) break;
    for (u32 n = 0; n < got; n += 251) if (buffer[n] != pattern[(received + n) % PATTERN]) fail("a byte that arrived", received + n);
    received += got;
    reads++;
  }
  call1(SYS_close, socket);
  if (received == 0) fail(test, 0);
  report(test, reads, received, now() - from);
}

static void write_datagram(u8 *bytes, char what, u32 number) {
  bytes[0] = (u8)what;
  __builtin_memcpy(bytes + 1, &number, 4);
  for (u32 n = 5; n < DATAGRAM; n++) bytes[n] = (u8)(number * 7 + n);
}

static int udp_socket(void) {
  const int socket = open_socket(SOCK_DGRAM, 0);
  const word time[2] = {0, 300000};
  if (call(SYS_setsockopt, (word)socket, SOL_SOCKET, SO_RCVTIMEO, (word)time, sizeof time, 0)) fail("setsockopt", 0);
  const word failed = call3(SYS_connect, socket, &far, sizeof far);
  if (failed) fail("connect", failed);
  return socket;
}

/** An answer to a datagram. @returns its number, or -1 when none came */
static i64 answer(int socket, char what) {
  u8 bytes[DATAGRAM + 1], wanted[DATAGRAM];
  const word got = call3(SYS_read, socket, bytes, sizeof bytes);
  if (got == (word)-EAGAIN) return -1;
  if (got != DATAGRAM) fail("an answer", got);
  u32 number;
  __builtin_memcpy(&number, bytes + 1, 4);
  write_datagram(wanted, what, number);
  for (u32 n = 0; n < DATAGRAM; n++) if (bytes[n] != wanted[n]) fail("an answer's byte", n);
  return number;
}

/** One way, as fast as they go; those count that arrived. */
static void udp_send(const char *test) {
  const int socket = udp_socket();
  u8 bytes[DATAGRAM];
  write_datagram(bytes, 'Z', 0);
  call3(SYS_write, socket, bytes, sizeof bytes);
  const u64 from = now(), end = from + duration;
  u64 at;
  u32 sent = 0;
  do {
    for (u32 n = 0; n < 16; n++) {
      write_datagram(bytes, 'S', sent);
      if (call3(SYS_write, socket, bytes, sizeof bytes) == DATAGRAM) sent++;
    }
    at = now();
  } while (at < end);
  i64 arrived = -1;
  for (u32 tries = 0; tries < 10 && arrived < 0; tries++) {
    pause_ms(100);
    write_datagram(bytes, 'Q', 0);
    call3(SYS_write, socket, bytes, sizeof bytes);
    arrived = answer(socket, 'Q');
  }
  if (arrived <= 0) fail(test, (u64)arrived);
  call1(SYS_close, socket);
  report(test, (u64)arrived, (u64)arrived * DATAGRAM, at - from);
  print("sent ");
  print_decimal(sent);
  print("\n");
}

/** There and back, with so many under way. */
static void udp_echo(const char *test, u32 window) {
  const int socket = udp_socket();
  const u64 from = now(), end = from + duration;
  u64 answered = 0, sent_at = from, at = from;
  u32 sent = 0, lost = 0, under_way = 0;
  u8 bytes[DATAGRAM];
  do {
    for (; under_way < window; under_way++) {
      write_datagram(bytes, 'E', sent++);
      sent_at = now();
      call3(SYS_write, socket, bytes, sizeof bytes);
    }
    if (answer(socket, 'E') < 0) {
      // Nothing comes any more: what was under way is lost.
      lost += under_way;
      under_way = 0;
      if (lost > 1000 * window) fail("datagrams lost", lost);
      at = now();
      continue;
    }
    under_way--;
    answered++;
    at = now();
    if (window == 1) took(&latencies, at - sent_at);
  } while (at < end);
  call1(SYS_close, socket);
  if (!answered) fail(test, 0);
  report(test, answered, answered * DATAGRAM, at - from);
  print("lost ");
  print_decimal(lost);
  print("\n");
}

static void udp_echo_one(const char *test) {
  udp_echo(test, 1);
}

static void udp_echo_many(const char *test) {
  udp_echo(test, WINDOW);
}

static u16 internet_checksum(const u8 *bytes, u32 count) {
  u32 sum = 0;
  for (u32 n = 0; n < count; n += 2) sum += (u32)(bytes[n] << 8 | bytes[n + 1]);
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return (u16)~sum;
}

/** ICMP echo (RFC 792) of 56 bytes, as ping(8) sends it. */
static void ping(const char *test) {
  const int socket = open_socket(SOCK_RAW, IPPROTO_ICMP);
  const word time[2] = {0, 300000};
  call(SYS_setsockopt, (word)socket, SOL_SOCKET, SO_RCVTIMEO, (word)time, sizeof time, 0);
  const u64 from = now(), end = from + duration;
  u64 at = from, answered = 0;
  u32 number = 0, lost = 0;
  do {
    u8 packet[8 + 56] = {8, 0, 0, 0, 0x12, 0x34, (u8)(number >> 8), (u8)number}, got[256];
    for (u32 n = 8; n < sizeof packet; n++) packet[n] = (u8)(n + number);
    const u16 sum = internet_checksum(packet, sizeof packet);
    packet[2] = (u8)(sum >> 8);
    packet[3] = (u8)sum;
    const u64 sent_at = now();
    if (call(SYS_sendto, (word)socket, (word)packet, sizeof packet, 0, (word)&far, sizeof far) != sizeof packet) fail(test, number);
    for (;;) {
      const word bytes = call3(SYS_read, socket, got, sizeof got);
      at = now();
      if (bytes == (word)-EAGAIN) {
        if (++lost > 20) fail("pings lost", lost);
        break;
      }
      // The IP header comes with it.
      const u8 *icmp = got + (got[0] & 15) * 4;
      if (icmp[0] != 0 || icmp[4] != 0x12 || icmp[6] != (u8)(number >> 8) || icmp[7] != (u8)number) continue;
      for (u32 n = 8; n < sizeof packet; n++) if (icmp[n] != packet[n]) fail("a ping's byte", n);
      took(&latencies, at - sent_at);
      answered++;
      break;
    }
    number++;
  } while (at < end);
  call1(SYS_close, socket);
  if (!answered) fail(test, 0);
  report(test, answered, answered * 64, at - from);
}

static const struct {
  const char *name;
  void (*run)(const char *test);
} TESTS[] = {
  {"ping", ping}, {"echo", udp_echo_one}, {"echo-32", udp_echo_many}, {"udp-send", udp_send}, {"tcp-send", tcp_send}, {"tcp-receive", tcp_receive},
};

int program(int argc, char **argv) {
  const char *value, *wanted = 0;
  far.family = AF_INET;
  u8 *host = (u8 *)&far.host;
  for (int n = 1; n < argc; n++) {
    if ((value = argument(argv[n], "host"))) {
      for (u32 k = 0; k < 4; k++) {
        host[k] = (u8)number(value);
        while (*value && *value++ != '.') {}
      }
    } else if ((value = argument(argv[n], "port"))) {
      const u32 port = (u32)number(value);
      far.port = (u16)(port >> 8 | port << 8);
    } else if ((value = argument(argv[n], "ms"))) duration_ms = (u32)number(value);
    else if ((value = argument(argv[n], "tests"))) wanted = value;
  }
  for (u32 n = 0; n < sizeof pattern; n++) pattern[n] = (u8)(n * 7 ^ n >> 8);
  duration = duration_ms * 1000000ull;
  print("net: start\n");
  mark("nothing");
  for (u32 n = 0; n < COUNT(TESTS); n++) {
    if (!is_wanted(wanted, TESTS[n].name)) continue;
    mark(TESTS[n].name);
    TESTS[n].run(TESTS[n].name);
  }
  mark("end");
  return 0;
}
