// Registers and bits of Realtek's RTL8139C+ Fast Ethernet controller.
// Realtek, "RTL8139C(L)+ Datasheet", chapter 6 (Register Descriptions); "RTL8139 Programming Guide".

export const IDR0 = 0x00;
export const MAR0 = 0x08;
/** Transmit status of the four descriptors of C mode; in C+ mode the dump of counters. */
export const TSD0 = 0x10;
export const DTCCR = 0x10;
export const DTCCR_CMD = 0x08;
export const TSAD0 = 0x20;
/** C+ mode: transmit descriptors, normal and high priority, 64 bits each. */
export const TNPDS = 0x20;
export const THPDS = 0x28;
export const RBSTART = 0x30;
export const CR = 0x37;
export const CAPR = 0x38;
export const CBR = 0x3a;
export const IMR = 0x3c;
export const ISR = 0x3e;
export const TCR = 0x40;
export const RCR = 0x44;
export const TCTR = 0x48;
export const MPC = 0x4c;
export const EECR = 0x50;
export const CONFIG0 = 0x51;
export const CONFIG1 = 0x52;
export const TIMERINT = 0x54;
export const MSR = 0x58;
export const CONFIG3 = 0x59;
export const CONFIG4 = 0x5a;
export const MULINT = 0x5c;
export const RERID = 0x5e;
export const TSAD = 0x60;
export const BMCR = 0x62;
export const BMSR = 0x64;
export const ANAR = 0x66;
export const ANLPAR = 0x68;
export const ANER = 0x6a;
export const NWAYTR = 0x70;
export const CSCR = 0x74;
export const CONFIG5 = 0xd8;
export const TPPOLL = 0xd9;
export const CPCR = 0xe0;
export const RDSAR = 0xe4;
export const ETTHR = 0xec;

export const CR_BUFE = 0x01;
export const CR_TE = 0x04;
export const CR_RE = 0x08;
export const CR_RST = 0x10;

export const INT_ROK = 0x0001;
export const INT_TOK = 0x0004;
export const INT_RXOVW = 0x0010;
export const INT_LINKCHG = 0x0020;
export const INT_TDU = 0x0080;
export const INT_SWINT = 0x0100;
export const INT_TIMEOUT = 0x4000;
export const INT_ALL = 0xe1ff;

export const TSD_SIZE = 0x1fff;
export const TSD_OWN = 0x2000;
export const TSD_TOK = 0x8000;

export const TCR_LBK = 3 << 17;
/** HWVERID of the 8139C+. */
export const TCR_VERSION = 0x74800000;
export const TCR_WRITABLE = 0x03070771;

export const RCR_AAP = 1 << 0;
export const RCR_APM = 1 << 1;
export const RCR_AM = 1 << 2;
export const RCR_AB = 1 << 3;
export const RCR_WRAP = 1 << 7;

/** Receive header of C mode, and where a frame was for. */
export const RX_ROK = 0x0001;
export const RX_BAR = 0x2000;
export const RX_PAM = 0x4000;
export const RX_MAR = 0x8000;

export const EECR_MODE = 0xc0;
export const EECR_PROGRAM = 0x80;
export const EECR_CONFIG = 0xc0;
export const EECR_CS = 0x08;
export const EECR_SK = 0x04;
export const EECR_DI = 0x02;
export const EECR_DO = 0x01;

export const MSR_LINKB = 0x04;

export const TPPOLL_HPQ = 0x80;
export const TPPOLL_NPQ = 0x40;
export const TPPOLL_FSWINT = 0x01;

export const CPCR_TXENB = 0x01;
export const CPCR_RXENB = 0x02;
export const CPCR_RXCHKSUM = 0x20;
export const CPCR_RXVLAN = 0x40;

/** Descriptors of C+ mode, chapter 9: first dword. */
export const D_OWN = 0x80000000;
export const D_EOR = 0x40000000;
export const D_FS = 0x20000000;
export const D_LS = 0x10000000;
export const TX_LGSEN = 0x08000000;
export const TX_IPCS = 1 << 18;
export const TX_UDPCS = 1 << 17;
export const TX_TCPCS = 1 << 16;
/** Second dword: the tag is there (receive: was there), in network order. */
export const TX_TAGC = 1 << 17;
export const RX_TAVA = 1 << 16;
export const RX_D_MAR = 1 << 26;
export const RX_D_PAM = 1 << 25;
export const RX_D_BAR = 1 << 24;
export const RX_PID_TCP = 1 << 16;
export const RX_PID_UDP = 2 << 16;
export const RX_PID_IP = 3 << 16;
export const RX_IPF = 1 << 15;
export const RX_UDPF = 1 << 14;
export const RX_TCPF = 1 << 13;
export const RX_SIZE = 0x1fff;

export const DESCRIPTOR = 16;

/** Bytes that keep what is written. */
export const PLAIN: readonly (readonly [start: number, length: number])[] = [
  [MAR0, 8], [TSAD0, 16], [RBSTART, 4], [RCR, 4], [TIMERINT, 4], [MULINT, 2], [ANAR, 2], [NWAYTR, 2], [CSCR, 2], [0x78, 8], [RDSAR, 8], [ETTHR, 1],
];
/** Those that are locked but in the EEPROM register's mode "config". */
export const LOCKED: readonly number[] = [CONFIG0, CONFIG1, CONFIG3, CONFIG4, CONFIG5];
