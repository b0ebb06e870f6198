// Written by tools/api.mjs from openapi.json; change the API, not this file.

/** The answer with the rule that decided. */
export type AccessAnswer = {
  account: string;
  allowed: boolean;
  reason: string;
  rule: string;
  user: string;
};

/** May this user do that? */
export type AccessQuestion = {
  account?: string | null;
  action: "publish" | "subscribe";
  subject: string;
  user: string;
};

/** A user of the NATS configuration, without secrets. */
export type AccessUser = {
  account: string;
  connections: number;
  kind: string;
  name: string;
  publish_allow?: string[] | null;
  publish_deny: string[];
  subscribe_allow?: string[] | null;
  subscribe_deny: string[];
};

/** Users of the NATS configuration and the accounts there are. */
export type AccessUsers = {
  accounts: string[];
  login_needed: boolean;
  users: AccessUser[];
};

/** Newest first; `before` of the next page is the last id here. */
export type Audit = {
  entries: AuditEntry[];
  has_more: boolean;
};

/** One change: who, what, from where, and how it ended. */
export type AuditEntry = {
  action: string;
  at_s: number;
  detail: Record<string, unknown>;
  id: number;
  ip: string;
  outcome: string;
  status: number;
  target: string;
  via: string;
  who: string;
};

/** One backup file on the box. */
export type Backup = {
  created_s: number;
  detail: string;
  encrypted: boolean;
  id: string;
  progress_percent?: number | null;
  size_bytes: number;
  state: "running" | "complete" | "damaged" | "unknown";
};

/** What a look into a backup found. */
export type BackupChecked = {
  detail: string;
  id: string;
  restart_needed: boolean;
  sound: boolean;
};

/** What opens an encrypted backup. */
export type BackupKey = {
  passphrase?: string | null;
};

/** Backups on the box, newest first. */
export type Backups = {
  backups: Backup[];
};

/** A payload: text when it is UTF-8, else base64; cut at `data_bytes_max` of the endpoint. */
export type Body = {
  cut: boolean;
  data: string;
  encoding: "text" | "base64";
  size: number;
};

/** Something that happened. */
export type BoxEvent = {
  at_s: number;
  kind: string;
  severity: "ok" | "info" | "warning" | "critical";
  subject: string;
  text: string;
};

/** What happened lately, newest first. */
export type BoxEvents = {
  events: BoxEvent[];
};

/** A bridge to another MQTT broker. */
export type Bridge = {
  backlog_bytes: number;
  backlog_messages: number;
  inbound: BridgeRule[];
  name: string;
  next_step: string;
  origin: string;
  outbound: BridgeRule[];
  sentence: string;
  severity: "ok" | "info" | "warning" | "critical";
  state: string;
  url: string;
};

/** A branch of topics that crosses a bridge. */
export type BridgeRule = {
  filter: string;
  local_prefix: string;
  qos: number;
  remote_prefix: string;
};

/** All bridges. */
export type Bridges = {
  bridges: Bridge[];
};

/** A key-value bucket. */
export type Bucket = {
  bytes: number;
  description: string;
  history: number;
  keys: number;
  max_bytes: number;
  name: string;
  storage: string;
  ttl_s: number;
};

/** A bucket and its keys with their newest values. */
export type BucketKeys = {
  bucket: Bucket;
  cut: boolean;
  keys: KeyEntry[];
};

/** All buckets. */
export type Buckets = {
  buckets: Bucket[];
};

/** A certificate of the box. */
export type Certificate = {
  fingerprint_sha256: string;
  issuer: string;
  kind: "authority" | "server" | "listener";
  names: string[];
  not_after_s: number;
  not_before_s: number;
  pem: string;
  serial: string;
  subject: string;
  where: string;
};

/** Certificates the box shows to others. */
export type Certificates = {
  certificates: Certificate[];
  https: boolean;
};

/** The first person of a new box. */
export type Claim = {
  code: string;
  name: string;
  password: string;
};

/** A configuration to put in force. `digest` is that of the text the editor started from. */
export type ConfigApply = {
  confirm_within_s?: number;
  digest?: string;
  text: string;
};

/** Whether a text can be used. */
export type ConfigChecked = {
  digest: string;
  findings: ConfigFinding[];
  restart_needed: string[];
  valid: boolean;
};

/** Lines that differ, as `diff -u` writes them. */
export type ConfigDiff = {
  added: number;
  changed: boolean;
  diff: string;
  removed: number;
};

/** What is wrong, and where. */
export type ConfigFinding = {
  column: number;
  line: number;
  message: string;
  severity: "ok" | "info" | "warning" | "critical";
  suggestion: string;
};

/** A configuration to look at. */
export type ConfigGiven = {
  text: string;
};

/** The configuration file as it is. */
export type ConfigText = {
  digest: string;
  path: string;
  pending_revert_s: number;
  previous: boolean;
  text: string;
  writable: boolean;
};

/** A client that is connected, or was. */
export type Connection = {
  account: string;
  cid: number;
  idle: string;
  in_bytes: number;
  in_messages: number;
  ip: string;
  kind: string;
  language: string;
  last_activity: string;
  mqtt_client: string;
  name: string;
  out_bytes: number;
  out_messages: number;
  pending_bytes: number;
  port: number;
  reason: string;
  rtt: string;
  start: string;
  stop: string;
  subscription_subjects: string[];
  subscriptions: number;
  tls_version: string;
  type: string;
  uptime: string;
  user: string;
  version: string;
};

/** Clients, as `/connz` lists them; rates are made of two of these. */
export type Connections = {
  at_s: number;
  connections: Connection[];
  total: number;
};

/** A consumer, how far it is and how far behind. */
export type Consumer = {
  ack_floor_stream_seq: number;
  ack_pending: number;
  ack_policy: string;
  ack_wait_s: number;
  created: string;
  deliver_policy: string;
  delivered_stream_seq: number;
  description: string;
  durable: boolean;
  filter_subjects: string[];
  lag: number;
  last_delivered: string;
  max_ack_pending: number;
  max_deliver: number;
  name: string;
  pause_remaining_s: number;
  pause_until: string;
  paused: boolean;
  push: boolean;
  redelivered: number;
  stream: string;
  waiting: number;
};

/** Consumers of a stream. */
export type Consumers = {
  consumers: Consumer[];
};

/** Something that sends or takes readings, with a credential of its own. */
export type Device = {
  account: string;
  cid: number;
  created_s: number;
  ip: string;
  last_seen_s: number;
  last_subject: string;
  last_value: string;
  messages: number;
  messages_per_s: number;
  name: string;
  protocol: string;
  publish: string[];
  sparkline: (number | null)[];
  state: "online" | "offline" | "never";
  subscribe: string[];
};

/** The only time that the secret is shown. */
export type DeviceCredential = {
  device: Device;
  password: string;
  snippets: Snippet[];
  user: string;
};

/** All devices. */
export type Devices = {
  devices: Device[];
};

/** Flash: room and wear. */
export type Disk = {
  device: string;
  device_written_bytes?: number | null;
  free_bytes?: number | null;
  life_used_percent?: number | null;
  store_bytes?: number | null;
  total_bytes?: number | null;
  written_bytes?: number | null;
};

/** It is done, and nothing more is to be said. */
export type Done = {
  done: boolean;
};

/** One thing that is wrong with a request. */
export type FieldProblem = {
  message: string;
  where: string;
};

/** Which of several issues of one code. */
export type FixAsked = {
  subject?: string;
};

/** What was mended. */
export type FixDone = {
  code: string;
  message: string;
};

/** Who sends what to whom, now. */
export type Flow = {
  at_s: number;
  edges: FlowEdge[];
  nodes: FlowNode[];
};

/** Data on its way from one node to another. */
export type FlowEdge = {
  bytes_per_s: number;
  label: string;
  messages_per_s: number;
  source: string;
  target: string;
};

/** A thing that data passes. */
export type FlowNode = {
  detail: string;
  id: string;
  kind: "device" | "client" | "service" | "stream" | "uplink" | "bridge" | "box" | "group";
  label: string;
  severity: "ok" | "info" | "warning" | "critical";
};

/** A local stream on its way to the hub. */
export type ForwardedStream = {
  backlog_bytes: number;
  backlog_messages: number;
  delivered: number;
  drain_messages_per_s: number;
  eta_s?: number | null;
  oldest_age_s?: number | null;
  stream: string;
  subjects: string[];
};

/** Values belong to `times_s`, oldest first. */
export type History = {
  available: string[];
  series: Series[];
  span: string;
  step_s: number;
  times_s: number[];
};

/** What to run or paste at the hub. */
export type HubSnippet = {
  snippets: Snippet[];
};

/** Something that is not as it should be. */
export type Issue = {
  cause: string;
  code: string;
  fix_label: string;
  next_step: string;
  severity: "ok" | "info" | "warning" | "critical";
  since_s: number;
  subject: string;
  title: string;
};

/** All issues, worst first. */
export type Issues = {
  checked_s: number;
  issues: Issue[];
};

/** A value of a key. */
export type KeyEntry = {
  body: Body;
  key: string;
  operation: "put" | "delete" | "purge";
  revision: number;
  time: string;
};

/** A value. With `revision` it is stored only if that is still the newest one (0: the key must be new). */
export type KeyPut = {
  data?: string;
  encoding?: "text" | "base64";
  revision?: number | null;
};

/** The revision a value got. */
export type KeyStored = {
  key: string;
  revision: number;
};

/** A key's newest value and those before it, newest first. */
export type KeyValue = {
  entry: KeyEntry;
  history: KeyEntry[];
};

/** A message that just passed. */
export type LiveMessage = {
  at_s: number;
  body: Body;
  headers: Record<string, string[]>;
  reply: string;
  subject: string;
};

/** One line of the log. */
export type LogLine = {
  at_s: number;
  level: string;
  logger: string;
  text: string;
};

/** Name and password. */
export type Login = {
  name: string;
  password: string;
};

/** The newest lines, oldest first. */
export type Logs = {
  lines: LogLine[];
};

/** A backup to be made; with a passphrase it is encrypted. */
export type NewBackup = {
  passphrase?: string | null;
};

/** A bridge to be made. */
export type NewBridge = {
  account?: string | null;
  inbound?: NewBridgeRule[];
  name: string;
  outbound?: NewBridgeRule[];
  password?: string;
  url: string;
  user?: string;
  version?: "3.1.1" | "5";
};

/** Topics to carry. The filter is about what follows the prefixes, so one rule names both sides. */
export type NewBridgeRule = {
  filter: string;
  local_prefix?: string;
  qos?: number;
  remote_prefix?: string;
};

/** A bucket to be made. */
export type NewBucket = {
  description?: string | null;
  history?: number;
  max_bytes?: number;
  name: string;
  storage?: "file" | "memory";
  ttl_s?: number;
};

/** A consumer to be made. */
export type NewConsumer = {
  ack_policy?: "explicit" | "all" | "none";
  ack_wait_s?: number;
  deliver_policy?: "all" | "last" | "new" | "last_per_subject" | "by_start_sequence" | "by_start_time";
  description?: string | null;
  filter_subjects?: string[];
  max_ack_pending?: number;
  max_deliver?: number;
  name: string;
  start_seq?: number | null;
  start_time?: string | null;
};

/** A device to be made. Without subjects it may use its own: `<name>.>`. */
export type NewDevice = {
  account?: string | null;
  name: string;
  publish?: string[];
  subscribe?: string[];
};

/** An object store to be made. */
export type NewObjectStore = {
  description?: string | null;
  max_bytes?: number;
  name: string;
  storage?: "file" | "memory";
};

/** Somebody more. */
export type NewPerson = {
  name: string;
  password: string;
  role?: "viewer" | "operator" | "admin";
};

/** A token to be made. Scopes narrow what its role may. */
export type NewToken = {
  expires_in_s?: number;
  name: string;
  role?: "viewer" | "operator" | "admin";
  scopes?: string[];
};

/** The only time that the secret is shown. */
export type NewTokenMade = {
  secret: string;
  token: Token;
};

/** An uplink to be made. */
export type NewUplink = {
  account?: string | null;
  credentials?: string | null;
  forward?: string[];
  name?: string | null;
  password?: string | null;
  token?: string | null;
  url: string;
  user?: string | null;
};

/** An object, without its content. */
export type ObjectInfo = {
  chunks: number;
  description: string;
  digest: string;
  modified: string;
  name: string;
  size: number;
};

/** An object store. */
export type ObjectStore = {
  bytes: number;
  description: string;
  max_bytes: number;
  name: string;
  storage: string;
};

/** All object stores. */
export type ObjectStores = {
  stores: ObjectStore[];
};

/** A store and its objects. */
export type Objects = {
  objects: ObjectInfo[];
  store: ObjectStore;
};

/** One login of somebody, for looking at and ending. */
export type OpenSession = {
  agent: string;
  created_s: number;
  current: boolean;
  expires_s: number;
  id: string;
  ip: string;
  last_seen_s: number;
  name: string;
};

/** Logins that are open. */
export type OpenSessions = {
  sessions: OpenSession[];
};

/** A time in which data did not flow. */
export type Outage = {
  delivered: number;
  end_s?: number | null;
  lost: number;
  queued: number;
  reason: string;
  start_s: number;
};

/** The outage ledger, newest first. */
export type Outages = {
  outages: Outage[];
};

/** How long a consumer rests. */
export type Pause = {
  for_s?: number;
};

/** Everybody who may log in. */
export type People = {
  people: Person[];
};

/** Somebody who may log in. */
export type Person = {
  created_s: number;
  last_login_s: number;
  locked_until_s: number;
  name: string;
  role: "viewer" | "operator" | "admin";
  sessions: number;
};

/** What changes about somebody; a new password or role ends their sessions. */
export type PersonChange = {
  current_password?: string | null;
  password?: string | null;
  role?: "viewer" | "operator" | "admin" | null;
};

/** RFC 9457 problem details; `code` is stable for programs, `next_step` says what a person can do. */
export type Problem = {
  code: string;
  detail: string;
  errors: FieldProblem[];
  next_step: string;
  status: number;
  title: string;
  type: string;
};

/** A message to send. */
export type Publish = {
  data?: string;
  encoding?: "text" | "base64";
  headers?: Record<string, string>;
  reply?: string | null;
  subject: string;
};

/** Sent, and where it was stored if it was. */
export type Published = {
  seq: number;
  stored: boolean;
  stream: string;
  subject: string;
};

/** What is to go: everything, one subject, or what lies before a sequence. */
export type Purge = {
  before_seq?: number | null;
  keep?: number | null;
  subject?: string | null;
};

/** How many messages are gone. */
export type Purged = {
  purged: number;
};

/** The answer to a request. */
export type Reply = {
  message: LiveMessage;
  took_ms: number;
};

/** A request to send. */
export type Request = {
  data?: string;
  encoding?: "text" | "base64";
  headers?: Record<string, string>;
  reply?: string | null;
  subject: string;
  timeout_s?: number;
};

/** Where a consumer goes on: a sequence, or everything again. */
export type Reset = {
  seq?: number | null;
};

/** One measured thing over time; a gap is null. */
export type Series = {
  label: string;
  means: (number | null)[];
  name: string;
  peaks: (number | null)[];
  unit: string;
};

/** Who is logged in, and until when. */
export type Session = {
  accounts: string[];
  box_name: string;
  created_s: number;
  default_account: string;
  expires_s: number;
  idle_timeout_s: number;
  name: string;
  role: "viewer" | "operator" | "admin";
  scopes: string[];
  version: string;
  via: "session" | "token";
};

/** Whether somebody has claimed the box, and which box it is. */
export type Setup = {
  box_name: string;
  claimed: boolean;
  version: string;
};

/** Lines to paste. */
export type Snippet = {
  label: string;
  language: string;
  text: string;
};

/** The box in one sentence, with what is wrong and the four figures that matter. */
export type Status = {
  at_s: number;
  box_name: string;
  issues: Issue[];
  sentence: string;
  severity: "ok" | "info" | "warning" | "critical";
  tiles: Tile[];
  uptime_s: number;
  version: string;
};

/** A message of a stream. */
export type StoredMessage = {
  body: Body;
  headers: Record<string, string[]>;
  seq: number;
  subject: string;
  time: string;
};

/** Messages in order; `next_seq` continues, 0: there are no more. */
export type StoredMessages = {
  first_seq: number;
  last_seq: number;
  messages: StoredMessage[];
  next_seq: number;
};

/** A stream. */
export type Stream = {
  config: StreamConfig;
  created: string;
  kind: "stream" | "kv" | "object" | "mqtt" | "internal";
  state: StreamState;
};

/** A stream to be made or changed. `preset` fills in what is not given. */
export type StreamAsked = {
  allow_direct?: boolean | null;
  allow_rollup?: boolean | null;
  deny_delete?: boolean | null;
  deny_purge?: boolean | null;
  description?: string | null;
  discard?: "old" | "new" | null;
  duplicate_window_s?: number | null;
  max_age_s?: number | null;
  max_bytes?: number | null;
  max_consumers?: number | null;
  max_msg_size?: number | null;
  max_msgs?: number | null;
  max_msgs_per_subject?: number | null;
  name: string;
  preset?: "keep-a-week" | "latest-value" | "work-queue" | "forever" | "custom";
  retention?: "limits" | "interest" | "workqueue" | null;
  storage?: "file" | "memory" | null;
  subjects?: string[];
};

/** How a stream is set up; durations in seconds, -1: no limit. */
export type StreamConfig = {
  allow_direct: boolean;
  allow_rollup: boolean;
  deny_delete: boolean;
  deny_purge: boolean;
  description: string;
  discard: string;
  duplicate_window_s: number;
  max_age_s: number;
  max_bytes: number;
  max_consumers: number;
  max_msg_size: number;
  max_msgs: number;
  max_msgs_per_subject: number;
  metadata: Record<string, string>;
  mirror: string;
  name: string;
  retention: string;
  sealed: boolean;
  sources: string[];
  storage: string;
  subjects: string[];
};

/** What a stream holds. */
export type StreamState = {
  bytes: number;
  consumers: number;
  deleted: number;
  first_seq: number;
  first_time: string;
  last_seq: number;
  last_time: string;
  messages: number;
  subjects: number;
};

/** All streams of an account. */
export type Streams = {
  account: string;
  memory_bytes: number;
  memory_bytes_max: number;
  storage_bytes: number;
  storage_bytes_max: number;
  streams: Stream[];
};

/** A token of the subject tree with what was seen on and below it. */
export type SubjectNode = {
  children: SubjectNode[];
  count: number;
  cut: boolean;
  last?: Body | null;
  last_s: number;
  subject: string;
  token: string;
};

/** Subjects seen since watching began. */
export type SubjectTree = {
  nodes: SubjectNode[];
  sampled: boolean;
  since_s: number;
  subjects: number;
  subjects_max: number;
};

/** The machine; null is not measurable here. */
export type System = {
  core_rss_bytes?: number | null;
  cpu_count?: number | null;
  cpu_percent?: number | null;
  disk: Disk;
  hostname: string;
  load_1m?: number | null;
  machine: string;
  machine_cpu_percent?: number | null;
  memory_available_bytes?: number | null;
  memory_total_bytes?: number | null;
  temperature_c?: number | null;
  throttled?: boolean | null;
  time_s?: number | null;
  time_synchronised?: boolean | null;
  undervoltage?: boolean | null;
  uptime_s?: number | null;
  versions: Record<string, string>;
  web_rss_bytes?: number | null;
};

/** One figure of the home page. */
export type Tile = {
  detail: string;
  label: string;
  name: string;
  series: string;
  severity: "ok" | "info" | "warning" | "critical";
  text: string;
  unit: string;
  value?: number | null;
};

/** An API token, without its secret. */
export type Token = {
  created_by: string;
  created_s: number;
  expires_s: number;
  id: string;
  last_used_s: number;
  name: string;
  role: "viewer" | "operator" | "admin";
  scopes: string[];
};

/** All API tokens. */
export type Tokens = {
  scopes: string[];
  tokens: Token[];
};

/** A link to a hub and whether data flows over it. */
export type Uplink = {
  account: string;
  backlog_bytes: number;
  backlog_messages: number;
  drain_messages_per_s: number;
  eta_s?: number | null;
  ladder: UplinkState[];
  name: string;
  next_step: string;
  oldest_age_s?: number | null;
  reason: string;
  rtt_ms?: number | null;
  sentence: string;
  severity: "ok" | "info" | "warning" | "critical";
  since_s: number;
  state: string;
  streams: ForwardedStream[];
  url: string;
};

/** One step of the ladder from nothing to data that flows. */
export type UplinkState = {
  detail: string;
  failed: boolean;
  label: string;
  name: string;
  reached: boolean;
};

/** What a try found, step by step. */
export type UplinkTest = {
  next_step: string;
  ok: boolean;
  sentence: string;
  steps: UplinkState[];
};

/** All uplinks. */
export type Uplinks = {
  uplinks: Uplink[];
};

/** Every operation: its path and query parameters, its body and its answer. */
export interface Operations {
  "POST /access/test": {
    path: Record<never, never>;
    query: Record<never, never>;
    body: AccessQuestion;
    answer: AccessAnswer;
  };
  "GET /access/users": {
    path: Record<never, never>;
    query: Record<never, never>;
    body: undefined;
    answer: AccessUsers;
  };
  "GET /audit": {
    path: Record<never, never>;
    query: { before?: number | null; limit?: number };
    body: undefined;
    answer: Audit;
  };
  "GET /backups": {
    path: Record<never, never>;
    query: Record<never, never>;
    body: undefined;
    answer: Backups;
  };
  "POST /backups": {
    path: Record<never, never>;
    query: Record<never, never>;
    body: NewBackup | null;
    answer: Backup;
  };
  "GET /backups/{id}": {
    path: { id: string };
    query: Record<never, never>;
    body: undefined;
    answer: Blob;
  };
  "POST /backups/{id}/restore": {
    path: { id: string };
    query: Record<never, never>;
    body: BackupKey | null;
    answer: BackupChecked;
  };
  "POST /backups/{id}/verify": {
    path: { id: string };
    query: Record<never, never>;
    body: BackupKey | null;
    answer: BackupChecked;
  };
  "GET /bridges": {
    path: Record<never, never>;
    query: Record<never, never>;
    body: undefined;
    answer: Bridges;
  };
  "POST /bridges": {
    path: Record<never, never>;
    query: Record<never, never>;
    body: NewBridge;
    answer: Bridge;
  };
  "DELETE /bridges/{name}": {
    path: { name: string };
    query: Record<never, never>;
    body: undefined;
    answer: Done;
  };
  "GET /certificates": {
    path: Record<never, never>;
    query: Record<never, never>;
    body: undefined;
    answer: Certificates;
  };
  "GET /certificates/authority": {
    path: Record<never, never>;
    query: Record<never, never>;
    body: undefined;
    answer: Blob;
  };
  "GET /config": {
    path: Record<never, never>;
    query: Record<never, never>;
    body: undefined;
    answer: ConfigText;
  };
  "POST /config/apply": {
    path: Record<never, never>;
    query: Record<never, never>;
    body: ConfigApply;
    answer: ConfigText;
  };
  "POST /config/check": {
    path: Record<never, never>;
    query: Record<never, never>;
    body: ConfigGiven;
    answer: ConfigChecked;
  };
  "POST /config/confirm": {
    path: Record<never, never>;
    query: Record<never, never>;
    body: undefined;
    answer: ConfigText;
  };
  "POST /config/diff": {
    path: Record<never, never>;
    query: Record<never, never>;
    body: ConfigGiven;
    answer: ConfigDiff;
  };
  "POST /config/revert": {
    path: Record<never, never>;
    query: Record<never, never>;
    body: undefined;
    answer: ConfigText;
  };
  "GET /connections": {
    path: Record<never, never>;
    query: { state?: "open" | "closed"; offset?: number; limit?: number; subscriptions?: boolean };
    body: undefined;
    answer: Connections;
  };
  "DELETE /connections/{cid}": {
    path: { cid: number };
    query: Record<never, never>;
    body: undefined;
    answer: Done;
  };
  "GET /connections/{cid}": {
    path: { cid: number };
    query: Record<never, never>;
    body: undefined;
    answer: Connections;
  };
  "GET /devices": {
    path: Record<never, never>;
    query: Record<never, never>;
    body: undefined;
    answer: Devices;
  };
  "POST /devices": {
    path: Record<never, never>;
    query: Record<never, never>;
    body: NewDevice;
    answer: DeviceCredential;
  };
  "DELETE /devices/{name}": {
    path: { name: string };
    query: Record<never, never>;
    body: undefined;
    answer: Done;
  };
  "GET /devices/{name}": {
    path: { name: string };
    query: Record<never, never>;
    body: undefined;
    answer: Device;
  };
  "POST /devices/{name}/rotate": {
    path: { name: string };
    query: Record<never, never>;
    body: undefined;
    answer: DeviceCredential;
  };
  "GET /events": {
    path: Record<never, never>;
    query: Record<never, never>;
    body: undefined;
    answer: unknown;
  };
  "GET /flow": {
    path: Record<never, never>;
    query: { account?: string | null };
    body: undefined;
    answer: Flow;
  };
  "GET /happenings": {
    path: Record<never, never>;
    query: { limit?: number };
    body: undefined;
    answer: BoxEvents;
  };
  "GET /history": {
    path: Record<never, never>;
    query: { series?: string[] | null; span?: "1h" | "24h" | "30d" };
    body: undefined;
    answer: History;
  };
  "GET /issues": {
    path: Record<never, never>;
    query: Record<never, never>;
    body: undefined;
    answer: Issues;
  };
  "POST /issues/{code}/fix": {
    path: { code: string };
    query: Record<never, never>;
    body: FixAsked | null;
    answer: FixDone;
  };
  "GET /kv": {
    path: Record<never, never>;
    query: { account?: string | null };
    body: undefined;
    answer: Buckets;
  };
  "POST /kv": {
    path: Record<never, never>;
    query: { account?: string | null };
    body: NewBucket;
    answer: Bucket;
  };
  "DELETE /kv/{bucket}": {
    path: { bucket: string };
    query: { account?: string | null };
    body: undefined;
    answer: Done;
  };
  "GET /kv/{bucket}": {
    path: { bucket: string };
    query: { prefix?: string; limit?: number; account?: string | null };
    body: undefined;
    answer: BucketKeys;
  };
  "DELETE /kv/{bucket}/keys/{key}": {
    path: { bucket: string; key: string };
    query: { purge?: boolean; account?: string | null };
    body: undefined;
    answer: KeyStored;
  };
  "GET /kv/{bucket}/keys/{key}": {
    path: { bucket: string; key: string };
    query: { account?: string | null };
    body: undefined;
    answer: KeyValue;
  };
  "PUT /kv/{bucket}/keys/{key}": {
    path: { bucket: string; key: string };
    query: { account?: string | null };
    body: KeyPut;
    answer: KeyStored;
  };
  "POST /live/publish": {
    path: Record<never, never>;
    query: { account?: string | null };
    body: Publish;
    answer: Published;
  };
  "POST /live/request": {
    path: Record<never, never>;
    query: { account?: string | null };
    body: Request;
    answer: Reply;
  };
  "GET /live/subjects": {
    path: Record<never, never>;
    query: { account?: string | null };
    body: undefined;
    answer: SubjectTree;
  };
  "GET /live/tail": {
    path: Record<never, never>;
    query: { subject?: string; account?: string | null };
    body: undefined;
    answer: unknown;
  };
  "GET /logs": {
    path: Record<never, never>;
    query: { limit?: number; level?: "debug" | "info" | "warning" | "error" | null };
    body: undefined;
    answer: Logs;
  };
  "GET /logs/tail": {
    path: Record<never, never>;
    query: Record<never, never>;
    body: undefined;
    answer: unknown;
  };
  "GET /objects": {
    path: Record<never, never>;
    query: { account?: string | null };
    body: undefined;
    answer: ObjectStores;
  };
  "POST /objects": {
    path: Record<never, never>;
    query: { account?: string | null };
    body: NewObjectStore;
    answer: ObjectStore;
  };
  "DELETE /objects/{store}": {
    path: { store: string };
    query: { account?: string | null };
    body: undefined;
    answer: Done;
  };
  "GET /objects/{store}": {
    path: { store: string };
    query: { account?: string | null };
    body: undefined;
    answer: Objects;
  };
  "DELETE /objects/{store}/content/{name}": {
    path: { store: string; name: string };
    query: { account?: string | null };
    body: undefined;
    answer: Done;
  };
  "GET /objects/{store}/content/{name}": {
    path: { store: string; name: string };
    query: { account?: string | null };
    body: undefined;
    answer: Blob;
  };
  "PUT /objects/{store}/content/{name}": {
    path: { store: string; name: string };
    query: { account?: string | null };
    body: Blob;
    answer: ObjectInfo;
  };
  "GET /people": {
    path: Record<never, never>;
    query: Record<never, never>;
    body: undefined;
    answer: People;
  };
  "POST /people": {
    path: Record<never, never>;
    query: Record<never, never>;
    body: NewPerson;
    answer: Person;
  };
  "DELETE /people/{name}": {
    path: { name: string };
    query: Record<never, never>;
    body: undefined;
    answer: Done;
  };
  "PATCH /people/{name}": {
    path: { name: string };
    query: Record<never, never>;
    body: PersonChange;
    answer: Person;
  };
  "DELETE /session": {
    path: Record<never, never>;
    query: Record<never, never>;
    body: undefined;
    answer: Done;
  };
  "GET /session": {
    path: Record<never, never>;
    query: Record<never, never>;
    body: undefined;
    answer: Session;
  };
  "POST /session": {
    path: Record<never, never>;
    query: Record<never, never>;
    body: Login;
    answer: Session;
  };
  "GET /sessions": {
    path: Record<never, never>;
    query: Record<never, never>;
    body: undefined;
    answer: OpenSessions;
  };
  "DELETE /sessions/{id}": {
    path: { id: string };
    query: Record<never, never>;
    body: undefined;
    answer: Done;
  };
  "GET /setup": {
    path: Record<never, never>;
    query: Record<never, never>;
    body: undefined;
    answer: Setup;
  };
  "POST /setup": {
    path: Record<never, never>;
    query: Record<never, never>;
    body: Claim;
    answer: Session;
  };
  "GET /status": {
    path: Record<never, never>;
    query: Record<never, never>;
    body: undefined;
    answer: Status;
  };
  "GET /streams": {
    path: Record<never, never>;
    query: { account?: string | null };
    body: undefined;
    answer: Streams;
  };
  "POST /streams": {
    path: Record<never, never>;
    query: { account?: string | null };
    body: StreamAsked;
    answer: Stream;
  };
  "DELETE /streams/{name}": {
    path: { name: string };
    query: { account?: string | null };
    body: undefined;
    answer: Done;
  };
  "GET /streams/{name}": {
    path: { name: string };
    query: { account?: string | null };
    body: undefined;
    answer: Stream;
  };
  "PUT /streams/{name}": {
    path: { name: string };
    query: { account?: string | null };
    body: StreamAsked;
    answer: Stream;
  };
  "GET /streams/{name}/consumers": {
    path: { name: string };
    query: { account?: string | null };
    body: undefined;
    answer: Consumers;
  };
  "POST /streams/{name}/consumers": {
    path: { name: string };
    query: { account?: string | null };
    body: NewConsumer;
    answer: Consumer;
  };
  "DELETE /streams/{name}/consumers/{consumer}": {
    path: { name: string; consumer: string };
    query: { account?: string | null };
    body: undefined;
    answer: Done;
  };
  "GET /streams/{name}/consumers/{consumer}": {
    path: { name: string; consumer: string };
    query: { account?: string | null };
    body: undefined;
    answer: Consumer;
  };
  "POST /streams/{name}/consumers/{consumer}/pause": {
    path: { name: string; consumer: string };
    query: { account?: string | null };
    body: Pause | null;
    answer: Consumer;
  };
  "POST /streams/{name}/consumers/{consumer}/reset": {
    path: { name: string; consumer: string };
    query: { account?: string | null };
    body: Reset | null;
    answer: Consumer;
  };
  "POST /streams/{name}/consumers/{consumer}/resume": {
    path: { name: string; consumer: string };
    query: { account?: string | null };
    body: undefined;
    answer: Consumer;
  };
  "GET /streams/{name}/messages": {
    path: { name: string };
    query: { seq?: number; subject?: string | null; limit?: number; account?: string | null };
    body: undefined;
    answer: StoredMessages;
  };
  "DELETE /streams/{name}/messages/{seq}": {
    path: { name: string; seq: number };
    query: { erase?: boolean; account?: string | null };
    body: undefined;
    answer: Done;
  };
  "GET /streams/{name}/messages/{seq}": {
    path: { name: string; seq: number };
    query: { account?: string | null };
    body: undefined;
    answer: StoredMessage;
  };
  "POST /streams/{name}/purge": {
    path: { name: string };
    query: { account?: string | null };
    body: Purge | null;
    answer: Purged;
  };
  "GET /system": {
    path: Record<never, never>;
    query: Record<never, never>;
    body: undefined;
    answer: System;
  };
  "GET /tokens": {
    path: Record<never, never>;
    query: Record<never, never>;
    body: undefined;
    answer: Tokens;
  };
  "POST /tokens": {
    path: Record<never, never>;
    query: Record<never, never>;
    body: NewToken;
    answer: NewTokenMade;
  };
  "DELETE /tokens/{id}": {
    path: { id: string };
    query: Record<never, never>;
    body: undefined;
    answer: Done;
  };
  "GET /uplinks": {
    path: Record<never, never>;
    query: Record<never, never>;
    body: undefined;
    answer: Uplinks;
  };
  "POST /uplinks": {
    path: Record<never, never>;
    query: Record<never, never>;
    body: NewUplink;
    answer: Uplink;
  };
  "DELETE /uplinks/{name}": {
    path: { name: string };
    query: { force?: boolean };
    body: undefined;
    answer: Done;
  };
  "GET /uplinks/{name}/hub-snippet": {
    path: { name: string };
    query: Record<never, never>;
    body: undefined;
    answer: HubSnippet;
  };
  "GET /uplinks/{name}/outages": {
    path: { name: string };
    query: { limit?: number };
    body: undefined;
    answer: Outages;
  };
  "POST /uplinks/{name}/test": {
    path: { name: string };
    query: Record<never, never>;
    body: undefined;
    answer: UplinkTest;
  };
  "POST /uplinks/{name}/{action}": {
    path: { name: string; action: "pause" | "resume" | "drain" };
    query: Record<never, never>;
    body: undefined;
    answer: Uplink;
  };
}
