// Names of ATA/ATAPI: registers, their bits, commands.
// ATA/ATAPI-6 (T13/1410D), sections 7 (registers) and 8 (commands).

/** Bytes of a disk's sector. */
export const SECTOR = 512;

/** Offsets in the command block. */
export const ATA_DATA = 0;
export const ATA_ERROR = 1;
export const ATA_FEATURES = 1;
export const ATA_SECTOR_COUNT = 2;
export const ATA_LBA_LOW = 3;
export const ATA_LBA_MID = 4;
export const ATA_LBA_HIGH = 5;
export const ATA_DEVICE = 6;
export const ATA_STATUS = 7;
export const ATA_COMMAND = 7;

export const STATUS_ERR = 0x01;
export const STATUS_DRQ = 0x08;
/** Device seek complete, in ATA-6 specific to the command. */
export const STATUS_DSC = 0x10;
export const STATUS_DF = 0x20;
export const STATUS_DRDY = 0x40;
export const STATUS_BSY = 0x80;

export const ERROR_ABRT = 0x04;
export const ERROR_UNC = 0x40;

export const DEVICE_HEAD = 0x0f;
export const DEVICE_DEV = 0x10;
export const DEVICE_LBA = 0x40;
/** Bits that are obsolete and read as ones. */
export const DEVICE_ONES = 0xa0;

/** Device control register. */
export const CONTROL_NIEN = 0x02;
export const CONTROL_SRST = 0x04;
export const CONTROL_HOB = 0x80;

/** Interrupt reason, in the sector count register of PACKET. */
export const REASON_CD = 0x01;
export const REASON_IO = 0x02;

export const Command = {
  NOP: 0x00,
  DATA_SET_MANAGEMENT: 0x06,
  DEVICE_RESET: 0x08,
  RECALIBRATE: 0x10,
  READ_SECTORS: 0x20,
  READ_SECTORS_NO_RETRY: 0x21,
  READ_SECTORS_EXT: 0x24,
  READ_DMA_EXT: 0x25,
  READ_NATIVE_MAX_ADDRESS_EXT: 0x27,
  READ_MULTIPLE_EXT: 0x29,
  WRITE_SECTORS: 0x30,
  WRITE_SECTORS_NO_RETRY: 0x31,
  WRITE_SECTORS_EXT: 0x34,
  WRITE_DMA_EXT: 0x35,
  WRITE_MULTIPLE_EXT: 0x39,
  WRITE_VERIFY: 0x3c,
  READ_VERIFY: 0x40,
  READ_VERIFY_NO_RETRY: 0x41,
  READ_VERIFY_EXT: 0x42,
  SEEK: 0x70,
  EXECUTE_DEVICE_DIAGNOSTIC: 0x90,
  INITIALIZE_DEVICE_PARAMETERS: 0x91,
  STANDBY_IMMEDIATE_2: 0x94,
  IDLE_IMMEDIATE_2: 0x95,
  STANDBY_2: 0x96,
  IDLE_2: 0x97,
  CHECK_POWER_MODE_2: 0x98,
  SLEEP_2: 0x99,
  PACKET: 0xa0,
  IDENTIFY_PACKET_DEVICE: 0xa1,
  SMART: 0xb0,
  READ_MULTIPLE: 0xc4,
  WRITE_MULTIPLE: 0xc5,
  SET_MULTIPLE_MODE: 0xc6,
  READ_DMA: 0xc8,
  READ_DMA_NO_RETRY: 0xc9,
  WRITE_DMA: 0xca,
  WRITE_DMA_NO_RETRY: 0xcb,
  STANDBY_IMMEDIATE: 0xe0,
  IDLE_IMMEDIATE: 0xe1,
  STANDBY: 0xe2,
  IDLE: 0xe3,
  CHECK_POWER_MODE: 0xe5,
  SLEEP: 0xe6,
  FLUSH_CACHE: 0xe7,
  FLUSH_CACHE_EXT: 0xea,
  IDENTIFY_DEVICE: 0xec,
  SET_FEATURES: 0xef,
  READ_NATIVE_MAX_ADDRESS: 0xf8,
} as const;
