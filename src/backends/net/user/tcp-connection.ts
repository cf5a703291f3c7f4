// One TCP connection between a guest and this network, which stands for the far host: the state machine of RFC 9293 (3.3.2 and
// 3.10), retransmission (RFC 6298), congestion control (RFC 5681, 6582), window scaling (RFC 7323), RST and SYN attacks (RFC 5961).
// What the guest sends goes into a HostStream and is acknowledged when that has taken it; what the stream brings is kept until
// the guest acknowledges it. So each direction is held up by its slower end, and holds a bounded number of bytes.
//
// Not used: SACK and time stamps. Nothing is lost between a guest and its NIC's backend but by a ring that is full.

import type { Clock, Timer } from '../../../devices/interfaces.ts';
import { type HostStream, STREAM_CREDIT, type StreamError } from './host.ts';
import { OutOfOrder, SendBuffer } from './tcp-buffers.ts';
import { ACK, FIN, PSH, RST, type Segment, seqAdd, seqDiff, SYN } from './tcp-segment.ts';

export type TcpState =
  /** The guest's SYN waits for the host to connect. */
  | 'CONNECTING'
  | 'SYN_SENT' | 'SYN_RECEIVED' | 'ESTABLISHED' | 'FIN_WAIT_1' | 'FIN_WAIT_2' | 'CLOSE_WAIT' | 'CLOSING' | 'LAST_ACK' | 'TIME_WAIT' | 'CLOSED';

/** What a connection needs of the network around it. */
export interface TcpLink {
  readonly clock: Clock;
  /** Most bytes of data in a segment on the wire. */
  readonly mss: number;
  /** Most bytes of data handed over at once, to be cut by the NIC; 0: the NIC does not. */
  readonly maxBurst: number;
  /** More is coming at once: output() will be called behind it. */
  isHeld(connection: TcpConnection): boolean;
  /** False: the queue to the NIC is full; output() is called when it is not. */
  canSend(connection: TcpConnection): boolean;
  /** Send a segment whose data are `length` bytes of the buffer, `from` bytes behind its front. */
  transmit(connection: TcpConnection, header: SegmentHeader, data: SendBuffer, from: number, length: number): void;
  /** The connection is at its end. */
  closed(connection: TcpConnection): void;
}

export interface SegmentHeader {
  seq: number;
  ack: number;
  flags: number;
  window: number;
  mss?: number;
  windowShift?: number;
}

const MS = 1e6;
const SECOND = 1e9;
const INITIAL_RTO = SECOND;
const MIN_RTO = 300 * MS;
const MAX_RTO = 60 * SECOND;
/** Retransmissions in a row before the guest counts as gone (RFC 9293, 3.8.3: R2), and for a SYN. */
const MAX_RETRIES = 12;
const MAX_SYN_RETRIES = 6;
const DELAYED_ACK = 10 * MS;
/**
 * A guest that sends on and on is answered this late at most, unless it has nothing else to do, or so much of its window is used up: for each
 * answer it has an interrupt to take.
 */
const GATHERED_ACK = MS;
const GATHERED_PART = 4;
const TIME_WAIT_NS = 10 * SECOND;
/** RFC 9293, 3.7.1: what is assumed where nothing is said. */
const DEFAULT_MSS = 536;
const MIN_MSS = 64;
const WINDOW_SHIFT = 5;
const MAX_WINDOW_FIELD = 0xffff;
/** Challenge ACKs in a tenth of a second (RFC 5961, section 7). */
const MAX_CHALLENGES = 10;
const CHALLENGE_NS = 100 * MS;

export class TcpConnection {
  state: TcpState;
  stream!: HostStream;
  /** Largest segment to the guest. */
  mss: number;

  private readonly sendBuffer = new SendBuffer();
  /** Bytes that the far end sent and the guest has not acknowledged. */
  get unacknowledged(): number {
    return this.sendBuffer.length;
  }

  private sndUna: number;
  private sndNxt: number;
  /** Highest sequence number sent; sndNxt goes back to sndUna when all is sent again. */
  private sndMax: number;
  private sndWnd = 0;
  private sndWl1 = 0;
  private sndWl2 = 0;
  private maxSndWnd = 0;
  private sndShift = 0;
  private cwnd: number;
  private ssthresh = Infinity;
  private dupAcks = 0;
  /** NewReno: recovering until this is acknowledged. */
  private recover = -1;

  private rcvNxt = 0;
  /** Right edge of the window that the guest knows. Never moves left. */
  private rcvEdge = 0;
  private rcvShift = 0;
  private readonly outOfOrder = new OutOfOrder();
  /** Sequence number of a FIN that came before its turn, -1 without. */
  private earlyFin = -1;
  private finReceived = false;

  /** The stream has ended: FIN goes behind what is in the buffer. */
  private hostEnded = false;
  private finSent = false;

  private readonly retransmitTimer: Timer;
  private readonly ackTimer: Timer;
  private readonly gatherTimer: Timer;
  private readonly lifeTimer: Timer;
  private rto = INITIAL_RTO;
  private srtt = -1;
  private rttvar = 0;
  /** The segment whose round trip is measured ends here, and was sent then; -1: none is. */
  private timedSeq = -1;
  private timedAt = 0;
  private retries = 0;
  /** Probes of a closed window in a row that brought no answer. */
  private unanswered = 0;
  private unackedSegments = 0;
  private unackedBytes = 0;
  private challenges = 0;
  private challengesSince = -Infinity;

  /**
   * @param key by which the table knows it  @param iss initial send sequence number
   * @param opening passive: the guest connects; active: somebody connects to the guest
   */
  constructor(
    readonly key: string,
    private readonly link: TcpLink,
    iss: number,
    opening: 'passive' | 'active',
  ) {
    this.state = opening === 'passive' ? 'CONNECTING' : 'SYN_SENT';
    this.mss = Math.min(DEFAULT_MSS, link.mss);
    this.sndUna = this.sndNxt = this.sndMax = iss;
    this.cwnd = 10 * link.mss;
    this.retransmitTimer = link.clock.timer(`tcp ${key} retransmit`, () => this.retransmit());
    this.ackTimer = link.clock.timer(`tcp ${key} ack`, () => this.sendAck());
    this.gatherTimer = link.clock.timer(`tcp ${key} gathered ack`, () => this.sendAck(), true);
    this.lifeTimer = link.clock.timer(`tcp ${key} end`, () => this.close());
  }

  // ---- from the host

  /** The guest's SYN, before the stream is open. */
  acceptSyn(segment: Segment): void {
    this.takeSyn(segment);
  }

  /** Active open: the far end has connected to a port that leads to the guest. */
  sendSyn(): void {
    this.rcvShift = WINDOW_SHIFT;
    this.transmitControl(SYN);
    this.armRetransmit();
  }

  /** The stream is open: answer the guest's SYN. */
  opened(): void {
    if (this.state !== 'CONNECTING') return;
    this.state = 'SYN_RECEIVED';
    this.transmitControl(SYN | ACK);
    this.armRetransmit();
  }

  hostData(bytes: Uint8Array): void {
    if (this.state === 'CLOSED' || this.hostEnded) return;
    this.sendBuffer.push(bytes);
    if (!this.link.isHeld(this)) this.output();
  }

  hostEnd(): void {
    if (this.state === 'CLOSED' || this.hostEnded) return;
    this.hostEnded = true;
    if (!this.link.isHeld(this)) this.output();
  }

  /** The stream could not be opened, or broke: the guest sees a reset; nothing if the far end did not answer either. */
  hostFailed(error: StreamError): void {
    if (this.state === 'CLOSED') return;
    this.output();
    // A SYN that was not answered is refused by RST with an ACK of it; else RST lies at the next sequence number.
    if (this.state === 'CONNECTING') {
      if (error !== 'timeout') this.transmitNow(RST | ACK, 0);
    }
    else if (this.state !== 'TIME_WAIT') this.transmitNow(RST | ACK, this.sndMax);
    this.close();
  }

  hostWritable(): void {
    if (this.isSynchronized()) this.updateWindow();
  }

  // ---- from the guest

  /** RFC 9293, 3.10.7. */
  receive(segment: Segment): void {
    if (this.state === 'CONNECTING') {
      if (segment.flags & RST) this.abort();
      return;
    }
    if (this.state === 'SYN_SENT') return this.receiveInSynSent(segment);
    const { flags } = segment;
    let { seq, data } = segment;
    let fin = (flags & FIN) !== 0;
    const length = data.length + (fin ? 1 : 0);
    const window = seqDiff(this.rcvEdge, this.rcvNxt);
    const offset = seqDiff(seq, this.rcvNxt);

    if (flags & SYN) {
      // Our SYN-ACK was lost, or the guest tries again.
      if (this.state === 'SYN_RECEIVED' && seqAdd(seq, 1) === this.rcvNxt && !(flags & (RST | ACK))) this.transmitControl(SYN | ACK);
      else this.challenge();
      return;
    }
    const isAcceptable = length === 0 ? offset === 0 || (offset > 0 && offset < window) : offset + length > 0 && offset < Math.max(window, 1);
    if (!isAcceptable) {
      if (flags & RST) return;
      if (this.state === 'TIME_WAIT' && fin) this.armTimeWait();
      // What lies to the left came twice: our ACK was lost. All else is answered at a bounded rate.
      if (length > 0) this.sendAck();
      else this.challenge();
      return;
    }
    if (flags & RST) {
      if (offset === 0) this.abort();
      else this.challenge();
      return;
    }
    if (!(flags & ACK)) return;
    if (!this.receiveAck(segment)) return;
    if (this.finReceived) return;
    // From here on data and FIN; what is outside the window is cut off.
    if (offset < 0) {
      data = data.subarray(-offset);
      seq = this.rcvNxt;
    }
    const room = seqDiff(this.rcvEdge, seq);
    if (data.length > room) {
      data = data.subarray(0, room);
      fin = false;
    }
    if (data.length > 0 || fin) this.receiveData(seq, data, fin);
    else if (length > 0) this.sendAck();
  }

  private receiveInSynSent(segment: Segment): void {
    const { flags, ack } = segment;
    if (flags & ACK && ack !== this.sndMax) {
      if (!(flags & RST)) this.reset(ack);
      return;
    }
    if (flags & RST) {
      if (flags & ACK) this.abort();
      return;
    }
    if (!(flags & SYN)) return;
    this.takeSyn(segment);
    if (!(flags & ACK)) {
      // Both ends opened at once.
      this.state = 'SYN_RECEIVED';
      this.sndNxt = this.sndUna;
      this.transmitControl(SYN | ACK);
      return;
    }
    this.sndUna = ack;
    this.retries = 0;
    this.retransmitTimer.disarm();
    this.establish(segment, 0);
    this.sendAck();
  }

  /** What a SYN tells. */
  private takeSyn(segment: Segment): void {
    this.rcvNxt = this.rcvEdge = seqAdd(segment.seq, 1);
    this.mss = Math.max(MIN_MSS, Math.min(segment.mss ?? DEFAULT_MSS, this.link.mss));
    this.cwnd = 10 * this.mss;
    // Scaling is used if both ends offer it.
    this.rcvShift = segment.windowShift === undefined ? 0 : WINDOW_SHIFT;
    this.sndShift = segment.windowShift ?? 0;
  }

  /** @param shift a SYN's window is not scaled */
  private establish(segment: Segment, shift: number): void {
    this.state = 'ESTABLISHED';
    this.setSendWindow(segment, shift);
    this.output();
  }

  private setSendWindow(segment: Segment, shift = this.sndShift): void {
    this.sndWnd = segment.window << shift;
    this.maxSndWnd = Math.max(this.maxSndWnd, this.sndWnd);
    this.sndWl1 = segment.seq;
    this.sndWl2 = segment.ack;
  }

  /** @returns false if the segment is done with */
  private receiveAck(segment: Segment): boolean {
    const { ack, seq } = segment;
    const advance = seqDiff(ack, this.sndUna);
    if (this.state === 'SYN_RECEIVED') {
      if (advance !== 1 || ack !== this.sndMax) {
        this.reset(ack);
        return false;
      }
      this.sndUna = ack;
      this.sndNxt = ack;
      this.retries = 0;
      this.retransmitTimer.disarm();
      this.establish(segment, this.sndShift);
      return true;
    }
    if (seqDiff(ack, this.sndMax) > 0) {
      this.challenge();
      return false;
    }
    // RFC 5961, 5: older than anything that can be on its way.
    if (advance < 0 && -advance > this.maxSndWnd) {
      this.challenge();
      return false;
    }
    const windowWas = this.sndWnd;
    this.unanswered = 0;
    if (advance >= 0 && (seqDiff(this.sndWl1, seq) < 0 || (this.sndWl1 === seq && seqDiff(this.sndWl2, ack) <= 0))) this.setSendWindow(segment);
    if (advance > 0) this.acknowledged(ack, advance);
    else if (advance === 0) {
      const isDuplicate = segment.data.length === 0 && !(segment.flags & FIN) && this.sndWnd === windowWas && this.sndMax !== this.sndUna && this.sndWnd > 0;
      if (isDuplicate) this.duplicateAck();
      else if (windowWas === 0 && this.sndWnd > 0) {
        // The window has opened: the probe that may be out counts for nothing.
        this.retries = 0;
        this.sndNxt = this.sndUna;
      }
    }
    // The state may be CLOSED now: the last ACK came.
    if ((this.state as TcpState) === 'CLOSED') return false;
    this.output();
    return true;
  }

  private acknowledged(ack: number, advance: number): void {
    const finAcked = this.finSent && ack === this.sndMax;
    const bytes = advance - (finAcked ? 1 : 0);
    this.sendBuffer.drop(bytes);
    this.sndUna = ack;
    if (seqDiff(this.sndNxt, ack) < 0) this.sndNxt = ack;
    this.retries = 0;
    if (this.timedSeq >= 0 && seqDiff(ack, this.timedSeq) >= 0) {
      this.measured(this.link.clock.now() - this.timedAt);
      this.timedSeq = -1;
    }
    if (this.recover >= 0) {
      if (seqDiff(ack, this.recover) >= 0) {
        this.recover = -1;
        this.cwnd = Math.max(this.ssthresh, 2 * this.mss);
        this.dupAcks = 0;
      } else {
        // A partial ACK: the next segment is missing as well (RFC 6582, 3.2, step 3).
        this.cwnd = Math.max(this.mss, this.cwnd - advance + this.mss);
        this.sendAgain();
      }
    } else {
      this.dupAcks = 0;
      this.cwnd += this.cwnd < this.ssthresh ? advance : Math.max(1, Math.floor((this.mss * this.mss) / this.cwnd));
      this.cwnd = Math.min(this.cwnd, 4 * STREAM_CREDIT);
    }
    if (this.sndUna === this.sndMax) this.retransmitTimer.disarm();
    else this.armRetransmit();
    if (bytes > 0) this.stream.taken(bytes);
    if (!finAcked) return;
    if (this.state === 'FIN_WAIT_1') {
      this.state = 'FIN_WAIT_2';
    } else if (this.state === 'CLOSING') this.enterTimeWait();
    else if (this.state === 'LAST_ACK') this.close();
  }

  /** RFC 6298, section 2. */
  private measured(rtt: number): void {
    if (this.srtt < 0) {
      this.srtt = rtt;
      this.rttvar = rtt / 2;
    } else {
      this.rttvar = 0.75 * this.rttvar + 0.25 * Math.abs(this.srtt - rtt);
      this.srtt = 0.875 * this.srtt + 0.125 * rtt;
    }
    this.rto = Math.min(MAX_RTO, Math.max(MIN_RTO, this.srtt + 4 * this.rttvar));
  }

  /** RFC 5681, 3.2. */
  private duplicateAck(): void {
    this.dupAcks++;
    if (this.recover >= 0) {
      this.cwnd += this.mss;
    } else if (this.dupAcks === 3) {
      this.ssthresh = Math.max(Math.floor(seqDiff(this.sndMax, this.sndUna) / 2), 2 * this.mss);
      this.recover = this.sndMax;
      this.cwnd = this.ssthresh + 3 * this.mss;
      this.sendAgain();
    }
  }

  /** The first segment that is not acknowledged, once more. */
  private sendAgain(): void {
    this.timedSeq = -1;
    const length = Math.min(this.mss, this.sendBuffer.length, seqDiff(this.sndMax, this.sndUna));
    const fin = this.finSent && length === this.sendBuffer.length;
    this.transmitData(this.sndUna, 0, length, fin);
    this.armRetransmit();
  }

  private receiveData(seq: number, data: Uint8Array, fin: boolean): void {
    if (fin) this.earlyFin = seqAdd(seq, data.length);
    if (seq !== this.rcvNxt) {
      this.outOfOrder.add(seq, data);
      this.sendAck();
      return;
    }
    const hadGap = !this.outOfOrder.isEmpty;
    this.deliver(data);
    for (let more = this.outOfOrder.take(this.rcvNxt); more; more = this.outOfOrder.take(this.rcvNxt)) this.deliver(more);
    if (this.earlyFin >= 0 && seqDiff(this.rcvNxt, this.earlyFin) >= 0) return this.receiveFin();
    // What fills a gap is acknowledged at once, two full segments soon (RFC 9293, 3.8.6.3; RFC 5681, 4.2).
    this.unackedSegments += data.length > this.mss ? 2 : 1;
    this.unackedBytes += data.length;
    if (hadGap || this.unackedBytes > seqDiff(this.rcvEdge, this.rcvNxt) / GATHERED_PART) this.sendAck();
    else if (this.unackedSegments >= 2) {
      if (this.gatherTimer.deadline === Infinity) this.gatherTimer.arm(this.link.clock.now() + GATHERED_ACK);
    } else if (this.ackTimer.deadline === Infinity) this.ackTimer.arm(this.link.clock.now() + DELAYED_ACK);
  }

  private deliver(data: Uint8Array): void {
    if (data.length === 0) return;
    this.rcvNxt = seqAdd(this.rcvNxt, data.length);
    this.stream.write(data);
  }

  private receiveFin(): void {
    this.rcvNxt = seqAdd(this.rcvNxt, 1);
    if (seqDiff(this.rcvEdge, this.rcvNxt) < 0) this.rcvEdge = this.rcvNxt;
    this.finReceived = true;
    this.outOfOrder.clear();
    if (this.state === 'ESTABLISHED') this.state = 'CLOSE_WAIT';
    else if (this.state === 'FIN_WAIT_1') this.state = 'CLOSING';
    else if (this.state === 'FIN_WAIT_2') this.enterTimeWait();
    this.sendAck();
    this.stream.end();
  }

  // ---- to the guest

  /** Send what may be sent. @param force also what a silly window lets through */
  output(force = false): void {
    if (!this.isSynchronized() || this.state === 'TIME_WAIT') return;
    const { sendBuffer } = this;
    while (this.link.canSend(this)) {
      const sent = seqDiff(this.sndNxt, this.sndUna);
      const queued = sendBuffer.length - sent;
      // FIN has gone, and nothing is to be sent again.
      if (queued < 0 || (queued === 0 && (!this.hostEnded || (this.finSent && this.sndNxt === this.sndMax)))) return;
      const usable = Math.min(this.sndWnd, this.cwnd) - sent;
      const limit = Math.max(this.mss, this.link.maxBurst - (this.link.maxBurst % this.mss));
      let length = Math.max(0, Math.min(queued, usable, limit));
      // Whole segments, unless it is the rest.
      if (length > this.mss && length < queued) length -= length % this.mss;
      if (length < queued && length < this.mss) {
        // Silly windows are waited out (RFC 9293, 3.8.6.2.1), but the timer probes if nothing is on its way that could open them.
        const isAgain = seqDiff(this.sndNxt, this.sndMax) < 0;
        const isWorthIt = length > 0 && (force || isAgain || length >= this.maxSndWnd / 2);
        if (!isWorthIt) {
          if (sent === 0) this.armRetransmit(true);
          return;
        }
      }
      const fin = this.hostEnded && length === queued;
      this.transmitData(this.sndNxt, sent, length, fin);
      const end = seqAdd(this.sndNxt, length + (fin ? 1 : 0));
      if (fin) this.sentFin();
      const isNew = seqDiff(end, this.sndMax) > 0;
      if (isNew && this.timedSeq < 0 && this.sndNxt === this.sndMax) {
        this.timedSeq = end;
        this.timedAt = this.link.clock.now();
      }
      this.sndNxt = end;
      if (isNew) this.sndMax = end;
      this.armRetransmit(true);
      if (fin) return;
    }
  }

  private sentFin(): void {
    if (this.finSent) return;
    this.finSent = true;
    if (this.state === 'ESTABLISHED') this.state = 'FIN_WAIT_1';
    else if (this.state === 'CLOSE_WAIT') this.state = 'LAST_ACK';
  }

  /** @param from bytes behind the front of the buffer */
  private transmitData(seq: number, from: number, length: number, fin: boolean): void {
    const isLast = from + length === this.sendBuffer.length;
    const flags = ACK | (isLast && length > 0 ? PSH : 0) | (fin ? FIN : 0);
    this.acked();
    this.link.transmit(this, { seq, ack: this.rcvNxt, flags, window: this.windowField() }, this.sendBuffer, from, length);
  }

  private sendAck(): void {
    if (this.state === 'CLOSED') return;
    this.acked();
    // sndNxt may have gone back to what is sent again; the guest has seen more, and would not look at an ACK from before that.
    this.transmitNow(ACK, this.sndMax);
  }

  private acked(): void {
    this.unackedSegments = 0;
    this.unackedBytes = 0;
    this.ackTimer.disarm();
    this.gatherTimer.disarm();
  }

  /** The window field, and with it the edge that the guest may send up to. */
  private windowField(): number {
    if (this.finReceived || this.state === 'CLOSED') return 0;
    const known = seqDiff(this.rcvEdge, this.rcvNxt);
    const room = Math.min(this.stream.room, MAX_WINDOW_FIELD << this.rcvShift) >> this.rcvShift << this.rcvShift;
    if (room > known) this.rcvEdge = seqAdd(this.rcvNxt, room);
    // Where the edge stays its distance may be no multiple of the unit: it is rounded down, and the few bytes more are accepted.
    return Math.min(MAX_WINDOW_FIELD, seqDiff(this.rcvEdge, this.rcvNxt) >> this.rcvShift);
  }

  /** Tell of a window that has grown enough to be worth it (RFC 9293, 3.8.6.2.2). */
  private updateWindow(): void {
    if (this.finReceived) return;
    const known = seqDiff(this.rcvEdge, this.rcvNxt);
    const room = Math.min(this.stream.room, MAX_WINDOW_FIELD << this.rcvShift);
    if (known <= room / 2 && room - known >= Math.min(2 * this.link.mss, STREAM_CREDIT / 2)) this.sendAck();
  }

  /** SYN, or SYN with ACK. */
  private transmitControl(flags: number): void {
    this.sndNxt = this.sndMax = seqAdd(this.sndUna, 1);
    const hasAck = (flags & ACK) !== 0;
    const offersScale = !hasAck || this.rcvShift > 0;
    // A SYN's window is not scaled.
    let window = 0;
    if (hasAck) {
      const room = Math.min(this.stream.room, MAX_WINDOW_FIELD);
      if (room > seqDiff(this.rcvEdge, this.rcvNxt)) this.rcvEdge = seqAdd(this.rcvNxt, room);
      window = seqDiff(this.rcvEdge, this.rcvNxt);
    } else window = Math.min(STREAM_CREDIT, MAX_WINDOW_FIELD);
    const header = { seq: this.sndUna, ack: hasAck ? this.rcvNxt : 0, flags, window, mss: this.link.mss, ...(offersScale ? { windowShift: WINDOW_SHIFT } : {}) };
    this.link.transmit(this, header, this.sendBuffer, 0, 0);
  }

  private transmitNow(flags: number, seq: number): void {
    const window = flags & RST ? 0 : this.windowField();
    this.link.transmit(this, { seq, ack: flags & ACK ? this.rcvNxt : 0, flags, window }, this.sendBuffer, 0, 0);
  }

  /** RST for a segment that acknowledges what was never sent. */
  private reset(ack: number): void {
    this.transmitNow(RST, ack);
  }

  private challenge(): void {
    const now = this.link.clock.now();
    if (now - this.challengesSince > CHALLENGE_NS) {
      this.challengesSince = now;
      this.challenges = 0;
    }
    if (this.challenges++ < MAX_CHALLENGES) this.sendAck();
  }

  // ---- timers

  /** @param onlyIfIdle leave a running timer alone */
  private armRetransmit(onlyIfIdle = false): void {
    if (onlyIfIdle && this.retransmitTimer.deadline !== Infinity) return;
    this.retransmitTimer.arm(this.link.clock.now() + Math.min(MAX_RTO, this.rto * 2 ** this.retries));
  }

  /** RFC 6298, section 5; with a closed window it is the probe of RFC 9293, 3.8.6.1. */
  private retransmit(): void {
    if (this.state === 'CLOSED' || this.state === 'TIME_WAIT') return;
    const isSyn = this.state === 'SYN_RECEIVED' || this.state === 'SYN_SENT';
    const isProbe = !isSyn && this.sndWnd === 0;
    // A small window was waited out, and nothing is on its way (RFC 9293, 3.8.6.2.1: the override timer).
    if (!isSyn && !isProbe && this.sndMax === this.sndUna) return this.output(true);
    this.retries++;
    this.unanswered++;
    // A guest that answers probes may keep its window closed for ever.
    if (isProbe ? this.unanswered > MAX_RETRIES : this.retries > (isSyn ? MAX_SYN_RETRIES : MAX_RETRIES)) {
      this.transmitNow(RST | ACK, this.sndMax);
      return this.abort();
    }
    this.timedSeq = -1;
    if (isSyn) {
      this.transmitControl(this.state === 'SYN_SENT' ? SYN : SYN | ACK);
      return this.armRetransmit();
    }
    if (isProbe) {
      const length = Math.min(1, this.sendBuffer.length);
      this.transmitData(this.sndUna, 0, length, length === 0 && this.hostEnded);
      const end = seqAdd(this.sndUna, length);
      if (length === 0 && this.hostEnded) {
        this.sentFin();
        this.sndMax = seqDiff(seqAdd(end, 1), this.sndMax) > 0 ? seqAdd(end, 1) : this.sndMax;
      } else if (seqDiff(end, this.sndMax) > 0) this.sndMax = end;
      this.sndNxt = this.sndUna;
      return this.armRetransmit();
    }
    this.ssthresh = Math.max(Math.floor(seqDiff(this.sndMax, this.sndUna) / 2), 2 * this.mss);
    this.cwnd = this.mss;
    this.recover = -1;
    this.dupAcks = 0;
    this.sndNxt = this.sndUna;
    this.armRetransmit();
    this.output();
  }

  private enterTimeWait(): void {
    this.state = 'TIME_WAIT';
    this.retransmitTimer.disarm();
    this.armTimeWait();
  }

  private armTimeWait(): void {
    this.lifeTimer.arm(this.link.clock.now() + TIME_WAIT_NS);
  }

  // ---- ends

  private isSynchronized(): boolean {
    return this.state !== 'CONNECTING' && this.state !== 'SYN_SENT' && this.state !== 'SYN_RECEIVED' && this.state !== 'CLOSED';
  }

  /** The guest broke it off, or is gone. */
  abort(): void {
    if (this.state === 'CLOSED') return;
    // After both FINs the stream ends by itself: what the guest sent may still be on its way.
    if (!(this.finReceived && this.finSent)) this.stream.abort();
    this.close();
  }

  private close(): void {
    this.dispose();
    this.link.closed(this);
  }

  /** For the table: it is forgotten. */
  dispose(): void {
    this.state = 'CLOSED';
    this.sendBuffer.clear();
    for (const timer of [this.retransmitTimer, this.ackTimer, this.gatherTimer, this.lifeTimer]) timer.disarm();
  }

  /** A new SYN of the same ports may begin anew (RFC 9293, 3.6.1). */
  mayReopen(segment: Segment): boolean {
    return this.state === 'TIME_WAIT' && seqDiff(segment.seq, this.rcvNxt) > 0;
  }
}
