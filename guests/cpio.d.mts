export class CpioArchive {
  directory(name: string, mode?: number): void;
  file(name: string, bytes: Uint8Array, mode?: number): void;
  symlink(name: string, target: string): void;
  characterDevice(name: string, major: number, minor: number, mode?: number): void;
  bytes(): Buffer;
}
