// Counters in Prometheus's text format (Prometheus, "Exposition formats", version 0.0.4).

const TEXTS = {
  clients: ['gauge', 'Clients that are connected'],
  rooms: ['gauge', 'Rooms with somebody in them'],
  pending: ['gauge', 'Connections that are no clients yet'],
  pending_cut_total: ['counter', 'Connections cut off before they were clients, as there were too many'],
  connections_total: ['counter', 'Connections accepted'],
  refused_total: ['counter', 'Connections refused (token, origin, limits)'],
  frames_received_total: ['counter', 'Frames from clients'],
  bytes_received_total: ['counter', 'Bytes of them'],
  frames_sent_total: ['counter', 'Frames to clients'],
  bytes_sent_total: ['counter', 'Bytes of them'],
  frames_dropped_total: ['counter', 'Frames that a slow client did not get'],
  malformed_total: ['counter', 'Clients disconnected for malformed or oversized messages'],
  slow_total: ['counter', 'Clients disconnected because they did not read'],
  idle_total: ['counter', 'Clients disconnected because they were silent'],
  throttled_total: ['counter', 'Times that a client was held up by its rate'],
  sockets: ['gauge', 'Sockets that guests have by the way out'],
  sockets_refused_total: ['counter', 'Sockets that guests did not get, as there were too many'],
  destinations_refused_total: ['counter', 'Connections of guests refused by policy'],
} as const;

export type Metric = keyof typeof TEXTS;

export class Metrics {
  private readonly values = Object.fromEntries(Object.keys(TEXTS).map((name) => [name, 0])) as Record<Metric, number>;

  add(name: Metric, amount = 1): void {
    this.values[name] += amount;
  }

  get(name: Metric): number {
    return this.values[name];
  }

  text(): string {
    return Object.entries(TEXTS).map(([name, [type, help]]) => `# HELP tabvisor_relay_${name} ${help}\n# TYPE tabvisor_relay_${name} ${type}\ntabvisor_relay_${name} ${this.values[name as Metric]}\n`).join('');
  }
}
