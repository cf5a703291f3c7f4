// Writes archives in the "newc" format of cpio, which Linux takes as an initramfs
// (Linux, Documentation/driver-api/early-userspace/buffer-format.rst). Everything belongs to root and has time 0,
// so the same input gives the same bytes, and neither root nor a cpio program is needed.

const S_IFCHR = 0o020000;
const S_IFDIR = 0o040000;
const S_IFREG = 0o100000;
const S_IFLNK = 0o120000;

/** An archive that is being written. Parent directories must be added before what they hold. */
export class CpioArchive {
  #parts = [];
  #inode = 1;

  directory(name, mode = 0o755) {
    this.#add(name, S_IFDIR | mode, Buffer.alloc(0), { links: 2 });
  }

  file(name, bytes, mode = 0o644) {
    this.#add(name, S_IFREG | mode, Buffer.from(bytes));
  }

  symlink(name, target) {
    this.#add(name, S_IFLNK | 0o777, Buffer.from(target));
  }

  characterDevice(name, major, minor, mode = 0o600) {
    this.#add(name, S_IFCHR | mode, Buffer.alloc(0), { major, minor });
  }

  /** The finished archive. */
  bytes() {
    const end = entry('TRAILER!!!', 0, 0, Buffer.alloc(0), { links: 1 });
    return Buffer.concat([...this.#parts, end]);
  }

  #add(name, mode, data, device = {}) {
    this.#parts.push(entry(name.replace(/^\/+/, ''), this.#inode++, mode, data, device));
  }
}

function entry(name, inode, mode, data, { links = 1, major = 0, minor = 0 }) {
  const nameBytes = Buffer.from(`${name}\0`);
  const fields = [inode, mode, 0, 0, links, 0, data.length, 0, 0, major, minor, nameBytes.length, 0];
  const header = Buffer.from('070701' + fields.map((field) => field.toString(16).padStart(8, '0')).join(''));
  return Buffer.concat([pad(Buffer.concat([header, nameBytes])), pad(data)]);
}

/** Header with name, and data, each end at a multiple of 4 bytes. */
function pad(bytes) {
  const rest = -bytes.length & 3;
  return rest ? Buffer.concat([bytes, Buffer.alloc(rest)]) : bytes;
}
