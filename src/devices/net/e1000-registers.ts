// Registers and bits of Intel's 82540EM Gigabit Ethernet controller.
// Intel, "PCI/PCI-X Family of Gigabit Ethernet Controllers Software Developer's Manual" (317453), chapter 13 (Register
// Descriptions); descriptors: 3.2.3, 3.3; PHY: 13.4.3 and IEEE 802.3 clause 22.

export const CTRL = 0x0000;
export const CTRL_FD = 1 << 0;
export const CTRL_SLU = 1 << 6;
export const CTRL_RST = 1 << 26;
export const CTRL_VME = 1 << 30;
export const CTRL_PHY_RST = 1 << 31;
export const STATUS = 0x0008;
export const STATUS_FD = 1 << 0;
export const STATUS_LU = 1 << 1;
/** SPEED and ASDV: 1000 Mb/s. */
export const STATUS_1000 = (2 << 6) | (2 << 8);
export const EECD = 0x0010;
export const EECD_SK = 1 << 0;
export const EECD_CS = 1 << 1;
export const EECD_DI = 1 << 2;
export const EECD_DO = 1 << 3;
export const EECD_FWE_MASK = 3 << 4;
export const EECD_REQ = 1 << 6;
export const EECD_GNT = 1 << 7;
export const EECD_PRES = 1 << 8;
export const EERD = 0x0014;
export const EERD_START = 1 << 0;
export const EERD_DONE = 1 << 4;
export const CTRL_EXT = 0x0018;
export const MDIC = 0x0020;
export const MDIC_READY = 1 << 28;
export const MDIC_I = 1 << 29;
export const MDIC_E = 1 << 30;
export const FCAL = 0x0028;
export const FCAH = 0x002c;
export const FCT = 0x0030;
export const VET = 0x0038;
export const ICR = 0x00c0;
export const ITR = 0x00c4;
export const ICS = 0x00c8;
export const IMS = 0x00d0;
export const IMC = 0x00d8;
export const INT_TXDW = 1 << 0;
export const INT_TXQE = 1 << 1;
export const INT_LSC = 1 << 2;
export const INT_RXDMT0 = 1 << 4;
export const INT_RXO = 1 << 6;
export const INT_RXT0 = 1 << 7;
export const INT_MDAC = 1 << 9;
/** Bits of the interrupt registers that the 82540EM has. */
export const INT_ALL = 0x0001f6df;
export const RCTL = 0x0100;
export const RCTL_EN = 1 << 1;
export const RCTL_SBP = 1 << 2;
export const RCTL_UPE = 1 << 3;
export const RCTL_MPE = 1 << 4;
export const RCTL_LPE = 1 << 5;
export const RCTL_LBM = 3 << 6;
export const RCTL_BAM = 1 << 15;
export const RCTL_VFE = 1 << 18;
export const RCTL_BSEX = 1 << 25;
export const RCTL_SECRC = 1 << 26;
export const FCTTV = 0x0170;
export const TXCW = 0x0178;
export const TCTL = 0x0400;
export const TCTL_EN = 1 << 1;
export const TCTL_PSP = 1 << 3;
export const TIPG = 0x0410;
export const AIFS = 0x0458;
export const LEDCTL = 0x0e00;
export const PBA = 0x1000;
export const FCRTL = 0x2160;
export const FCRTH = 0x2168;
export const RDBAL = 0x2800;
export const RDBAH = 0x2804;
export const RDLEN = 0x2808;
export const RDH = 0x2810;
export const RDT = 0x2818;
export const RDTR = 0x2820;
export const RXDCTL = 0x2828;
export const RADV = 0x282c;
export const RSRPD = 0x2c00;
export const TXDMAC = 0x3000;
export const TDBAL = 0x3800;
export const TDBAH = 0x3804;
export const TDLEN = 0x3808;
export const TDH = 0x3810;
export const TDT = 0x3818;
export const TIDV = 0x3820;
export const TXDCTL = 0x3828;
export const TADV = 0x382c;
export const TSPMT = 0x3830;
export const RXCSUM = 0x5000;
export const RXCSUM_IPOFL = 1 << 8;
export const RXCSUM_TUOFL = 1 << 9;
export const MTA = 0x5200;
export const RAL0 = 0x5400;
export const RAH_AV = 0x80000000;
export const VFTA = 0x5600;
export const WUC = 0x5800;
export const WUFC = 0x5808;
export const WUS = 0x5810;
export const MANC = 0x5820;
export const IPAV = 0x5838;

/** Statistics, 13.7: all clear when they are read. */
export const STATISTICS = 0x4000;
export const STATISTICS_END = 0x4100;
export const MPC = 0x4010;
/** Frames received of 64, 65-127, 128-255, 256-511, 512-1023, and more bytes. */
export const PRC64 = 0x405c;
export const GPRC = 0x4074;
export const BPRC = 0x4078;
export const MPRC = 0x407c;
export const GPTC = 0x4080;
export const GORCL = 0x4088;
export const GOTCL = 0x4090;
export const RNBC = 0x40a0;
export const ROC = 0x40ac;
export const TORL = 0x40c0;
export const TOTL = 0x40c8;
export const TPR = 0x40d0;
export const TPT = 0x40d4;
export const PTC64 = 0x40d8;
export const MPTC = 0x40f0;
export const BPTC = 0x40f4;
export const TSCTC = 0x40f8;

/** Registers that keep what is written, with the bits that exist. */
export const PLAIN: ReadonlyMap<number, number> = new Map([
  [CTRL_EXT, 0xffffffff], [FCAL, 0xffffffff], [FCAH, 0xffff], [FCT, 0xffff], [VET, 0xffff], [FCTTV, 0xffff], [TXCW, 0xffffffff], [TIPG, 0x3fffffff], [AIFS, 0xffff],
  [LEDCTL, 0xffffffff], [PBA, 0x3f], [FCRTL, 0x8000fff8], [FCRTH, 0xfff8], [RDBAL, 0xfffffff0], [RDBAH, 0xffffffff], [RDLEN, 0xfff80], [RDH, 0xffff],
  [RXDCTL, 0x013f3f3f], [RADV, 0xffff], [RSRPD, 0xfff], [TXDMAC, 1], [TDBAL, 0xfffffff0], [TDBAH, 0xffffffff], [TDLEN, 0xfff80], [TDH, 0xffff], [TIDV, 0xffff],
  [TXDCTL, 0xff3f3f3f], [TADV, 0xffff], [TSPMT, 0xffffffff], [RXCSUM, 0x3ff], [WUC, 0xf], [WUFC, 0xfffff], [WUS, 0xfffff], [MANC, 0xffffffff], [IPAV, 0xf000f],
]);

/** PHY registers, IEEE 802.3 clause 22, and the Marvell 88E1000's own. */
export const PHY_CTRL = 0;
export const PHY_CTRL_RESET = 0x8000;
export const PHY_CTRL_LOOPBACK = 0x4000;
export const PHY_CTRL_RESTART = 0x0200;
export const PHY_STATUS = 1;
export const PHY_STATUS_LINK = 0x0004;
export const PHY_STATUS_ANEG_DONE = 0x0020;
export const PHY_ID1 = 2;
export const PHY_ID2 = 3;
export const PHY_LP_ABILITY = 5;
export const PHY_1000T_STATUS = 10;
export const PHY_SPECIFIC_STATUS = 17;

/** As after reset. */
export const PHY_DEFAULTS: Readonly<Record<number, number>> = {
  [PHY_CTRL]: 0x1140, // auto-negotiation, full duplex, 1000 Mb/s
  [PHY_STATUS]: 0x7949, // 10 and 100 Mb/s, extended status, no preamble needed, auto-negotiation, extended registers
  [PHY_ID1]: 0x0141, // Marvell 88E1011
  [PHY_ID2]: 0x0c20,
  4: 0x0de1, // advertised: 10 and 100 Mb/s, pause
  6: 0x0001, // the partner negotiates
  9: 0x0e00, // 1000BASE-T advertised
  15: 0x3000, // 1000BASE-T can be
  16: 0x0068,
  20: 0x0d60,
};
/** Registers that can be written. */
export const PHY_WRITABLE: readonly number[] = [PHY_CTRL, 4, 7, 9, 16, 18, 20, 24, 29, 30];

/** Transmit descriptor, 3.3.3, third dword: command bits. */
export const TX_EOP = 1 << 24;
export const TX_IFCS = 1 << 25;
export const TX_IC = 1 << 26;
/** The same place in a data or context descriptor. */
export const TX_TSE = 1 << 26;
export const TX_RS = 1 << 27;
export const TX_RPS = 1 << 28;
export const TX_DEXT = 1 << 29;
export const TX_VLE = 1 << 30;
export const TX_IDE = 1 << 31;
export const TX_DTYP = 0xf << 20;
export const TX_DTYP_DATA = 1 << 20;
export const TX_DD = 1;
/** TUCMD of a context descriptor, and POPTS of a data descriptor. */
export const TUCMD_TCP = 1 << 24;
export const TUCMD_IP = 1 << 25;
export const POPTS_IXSM = 1;
export const POPTS_TXSM = 2;

/** Receive descriptor, 3.2.3.1 and 3.2.3.2. */
export const RX_DD = 0x01;
export const RX_EOP = 0x02;
export const RX_IXSM = 0x04;
export const RX_VP = 0x08;
export const RX_TCPCS = 0x20;
export const RX_IPCS = 0x40;
export const RX_ERROR_TCPE = 0x20;
export const RX_ERROR_IPE = 0x40;

export const DESCRIPTOR = 16;
