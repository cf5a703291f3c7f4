// What the bundled guests are made of: Debian packages, kernel modules, and the machine line that boots them.

/** Release whose packages are used, whatever release the host runs. */
export const release = 'bookworm';

/**
 * The firmware: Debian's SeaBIOS, which knows the PC by QEMU's fw_cfg, and iPXE as the option ROMs of network cards. Packages, and the files
 * to take from them.
 */
export const firmware = {
  arch: 'amd64',
  packages: {
    seabios: Object.fromEntries(['bios-256k.bin', 'bios.bin', 'vgabios-stdvga.bin'].map((file) => [file, `usr/share/seabios/${file}`])),
    'ipxe-qemu': Object.fromEntries(['pxe-virtio.rom', 'pxe-e1000.rom', 'pxe-rtl8139.rom', 'pxe-ne2k_pci.rom'].map((file) => [file, `usr/lib/ipxe/qemu/${file}`])),
  },
};

/**
 * Media that specs boot from through the firmware: packages, and the files to take from them.
 * What is in them boots on any PC; nothing is added.
 */
export const media = {
  arch: 'amd64',
  packages: {
    'grub-rescue-pc': { 'grub-floppy.img': 'usr/lib/grub-rescue/grub-rescue-floppy.img', 'grub-cdrom.iso': 'usr/lib/grub-rescue/grub-rescue-cdrom.iso' },
    ipxe: { 'ipxe.iso': 'usr/lib/ipxe/ipxe.iso' },
    'memtest86+': { 'memtest.iso': 'usr/lib/memtest86+/memtest86+x64.iso' },
    // The boot loader of installation CDs, of which specs make one.
    isolinux: { 'isolinux.bin': 'usr/lib/ISOLINUX/isolinux.bin' },
    'syslinux-common': Object.fromEntries(['ldlinux', 'libcom32', 'libutil', 'vesamenu'].map((name) => [`${name}.c32`, `usr/lib/syslinux/modules/bios/${name}.c32`])),
  },
};

/** Debian's installers, the network edition in text, for each architecture: kernel and initramfs, in the folder installer-NAME. */
export const installers = Object.fromEntries(
  ['amd64', 'i386'].map((arch) => {
    const folder = `usr/lib/debian-installer/images/12/${arch}/text/debian-installer/${arch}`;
    // The packages are for every architecture; those of amd64's lists serve both.
    return [arch, { arch: 'amd64', packages: { [`debian-installer-12-netboot-${arch}`]: { linux: `${folder}/linux`, 'initrd.gz': `${folder}/initrd.gz` } } }];
  }),
);

/**
 * A Debian system on a disk (disk.mjs).
 * - modules: in its initramfs, which has no others
 * - grubModules: in GRUB's core
 */
export const disk = {
  arch: 'amd64',
  label: 'tabvisor',
  mebibytes: 1280,
  packages: ['systemd-sysv', 'udev', 'kmod', 'linux-image-amd64', 'initramfs-tools', 'grub-pc-bin', 'grub-common', 'e2fsprogs', 'login'],
  modules: ['ata_piix', 'sd_mod', 'ext4', 'virtio_pci', 'virtio_blk'],
  grubModules: ['biosdisk', 'part_msdos', 'ext2', 'normal', 'linux', 'search', 'search_label', 'serial', 'terminal', 'echo', 'ls', 'cat', 'test', 'configfile'],
  append: 'console=tty0 console=ttyS0 cryptomgr.notests',
};

/** Printed by the guest's start-up script when the shell is about to come. */
export const readyLine = 'Tabvisor guest ready';

/** The prompt of the guest's shell. */
export const prompt = '~ # ';

/**
 * Kernel modules to put in the initramfs, by name; what they depend on is added. Loaded at boot in this order.
 * - button, evdev: the ACPI power button, as input events for acpid
 */
const modules = ['button', 'evdev'];

/** Modules that are there for `modprobe`, for the devices that a machine line may add. */
const modulesOnDemand = ['virtio_pci', 'virtio_blk', 'virtio_rng', 'virtio_console', 'virtio_balloon', 'virtio_net'];

/** Drives of the board. Debian's cloud kernel has no floppy driver. */
const drives = ['ata_piix', 'sd_mod', 'sr_mod', 'isofs'];

/** Network cards. Debian's cloud kernel has drivers for none of them. */
const cards = ['e1000', '8139cp', '8139too', 'ne2k_pci'];

/** Folders of the host. Debian's cloud kernel has no 9P. */
const shares = ['9pnet_virtio', '9p'];

/**
 * Kernel command line. Beside the console it leaves out work that is no part of a boot, and hides nothing of it:
 * - cryptomgr.notests: the self-tests of the crypto algorithms, which are half of the instructions of a boot (amd64:
 *   0.9 of 1.6 thousand million; i386: 4 of 6.9)
 * - noisapnp (i386): the search for ISA Plug and Play cards, 0.35 s of waiting for hardware that this PC does not have
 */
const append = 'console=ttyS0 cryptomgr.notests';

/**
 * Guests by name.
 * - arch: Debian's name of the architecture
 * - machine: what `uname -m` prints
 * - kernel: packages to take the kernel from, the first that exists
 * - memory: value for -m, MiB
 * - append: kernel command line
 */
export const guests = {
  amd64: {
    title: 'Debian 12 kernel, 64-bit',
    arch: 'amd64',
    machine: 'x86_64',
    kernel: ['linux-image-cloud-amd64', 'linux-image-amd64'],
    modules,
    modulesOnDemand: [...modulesOnDemand, ...drives],
    memory: 256,
    append,
  },
  i386: {
    title: 'Debian 12 kernel, 32-bit',
    arch: 'i386',
    machine: 'i686',
    kernel: ['linux-image-686'],
    modules,
    modulesOnDemand: [...modulesOnDemand, ...drives, 'floppy', ...cards, ...shares],
    memory: 256,
    append: `${append} noisapnp`,
  },
};
