// What the bundled guests are made of: Debian packages, kernel modules, and the machine line that boots them.

/** Release whose packages are used, whatever release the host runs. */
export const release = 'bookworm';

/** Printed by the guest's start-up script when the shell is about to come. */
export const readyLine = 'Tabvisor guest ready';

/** The prompt of the guest's shell. */
export const prompt = '~ # ';

/** Kernel modules to put in the initramfs, by name; what they depend on is added. Loaded at boot in this order. */
const modules = [];

/**
 * Guests by name.
 * - arch: Debian's name of the architecture
 * - machine: what `uname -m` prints
 * - kernel: packages to take the kernel from, the first that exists
 * - memory: value for -m, MiB
 * - append: kernel command line, see docs/guests.md for why
 */
export const guests = {
  amd64: {
    title: 'Debian 12 kernel, 64-bit',
    arch: 'amd64',
    machine: 'x86_64',
    kernel: ['linux-image-cloud-amd64', 'linux-image-amd64'],
    modules,
    memory: 256,
    append: 'console=ttyS0',
  },
  i386: {
    title: 'Debian 12 kernel, 32-bit',
    arch: 'i386',
    machine: 'i686',
    kernel: ['linux-image-686'],
    modules,
    memory: 256,
    append: 'console=ttyS0',
  },
};
