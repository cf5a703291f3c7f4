// What arrives at the guest's input devices (evdev): for each event but EV_SYN and EV_MSC a line
//   event N TYPE CODE VALUE ;      (of device N; numbers of linux/input-event-codes.h)
// First, for each device, "device N NAME", as its driver calls it, with - for blanks; then "events: ready". Runs until the machine ends.

#include "system.h"

enum { O_RDONLY = 0, O_NONBLOCK = 04000, DEVICES = 16, NAME = 64 };
enum { EV_SYN = 0, EV_MSC = 4 };

static char names[DEVICES][NAME];
static int files[DEVICES];

/** EVIOCGNAME(length): _IOC(_IOC_READ, 'E', 6, length), linux/input.h. */
static word get_name(u32 length) {
  return 2ul << 30 | length << 16 | 'E' << 8 | 6;
}

/** struct input_event, linux/input.h. */
struct event {
  word seconds, microseconds;
  u16 type, code;
  i32 value;
};

static void print_number(i32 value) {
  print(" ");
  if (value < 0) print("-");
  print_decimal(value < 0 ? -(i64)value : value);
}

/** Open event device n, if it is there and is not open yet. @returns whether it is a mouse */
static int look(u32 n) {
  if (files[n]) return 0;
  char path[20] = "/dev/input/event";
  char *end = path + 16;
  if (n >= 10) *end++ = '1';
  *end++ = (char)('0' + n % 10);
  const int file = (int)call3(SYS_open, path, O_RDONLY | O_NONBLOCK, 0);
  if (file < 0) return 0;
  files[n] = file;
  call3(SYS_ioctl, file, get_name(NAME - 1), names[n]);
  int is_mouse = 0;
  for (char *at = names[n]; *at; at++) {
    if (*at == ' ') *at = '-';
    if (at[0] == 'o' && at[1] == 'u' && at[2] == 's' && at[3] == 'e') is_mouse = 1;
  }
  print("device");
  print_number((i32)n);
  print(" ");
  print(names[n]);
  print("\n");
  return is_mouse;
}

int program(int argc, char **argv) {
  (void)argc;
  (void)argv;
  print("events: start\n");
  // Ctrl+Alt+Del is a signal to this program, which process 1 does not take, not a restart that comes before the event is told: RB_DISABLE_CAD of linux/reboot.h.
  call4(SYS_reboot, 0xfee1dead, 672274793, 0, 0);
  // The mouse's driver takes a while to find out what it is; the vmmouse makes two devices.
  int mice = 0;
  for (u32 tries = 0; tries < 600 && !mice; tries++) {
    for (u32 n = 0; n < DEVICES; n++) mice += look(n);
    pause_ms(100);
  }
  pause_ms(300);
  for (u32 n = 0; n < DEVICES; n++) look(n);
  print("events: ready\n");
  for (;;) {
    for (u32 n = 0; n < DEVICES; n++) {
      if (!files[n]) continue;
      struct event event;
      while (call3(SYS_read, files[n], &event, sizeof event) == sizeof event) {
        if (event.type == EV_SYN || event.type == EV_MSC) continue;
        print("event");
        print_number((i32)n);
        print_number(event.type);
        print_number(event.code);
        print_number(event.value);
        print(" ;\n");
      }
    }
    pause_ms(10);
  }
}
