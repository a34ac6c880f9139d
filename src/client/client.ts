import { abortable, callOptionNames } from "./abortable.ts";
import { CodedService } from "./coded-service.ts";
import { connectRemote } from "./remote.ts";
import type { RemoteOptions } from "./remote.ts";
import type { AttributeWhere } from "../core/attribute-filter.ts";
import { formatWhere } from "../core/attribute-filter.ts";
import type { AttributeValues } from "../core/attributes.ts";
import { parseAttributes } from "../core/attributes.ts";
import type { Duration } from "../core/duration.ts";
import { parseDuration } from "../core/duration.ts";
import { parseName, parseRunId, parseWorkflowId } from "../core/ids.ts";
import type { OptionNames } from "../core/options.ts";
import { demandKnownOptions } from "../core/options.ts";
import type { PayloadCodec } from "../core/payload-codec.ts";
import type { Tracing } from "../core/tracing.ts";
import type { AnySignal, AnyWorkflow, Signal, Workflow } from "../workflow/definition.ts";
import type { InputArguments, StartSignalOptions } from "./run-handle.ts";
import { RunHandle, startSignalOptionNames, toCheckedPayload, toSignal } from "./run-handle.ts";
import type {
  CallOptions,
  FeedEvent,
  FeedFilter,
  ListFilter,
  ListReply,
  ReusePolicy,
  RunSummary,
  Service,
  StartRequest,
} from "./service.ts";
import { Schedules } from "./schedules.ts";
import { traceService } from "./traced-service.ts";

const listPageRuns = 200;
const feedPageEvents = 200;
/** One call waits no longer than this; longer waits are several calls. */
const feedWaitMs = 60_000;

export interface StartOptions<Sent = unknown> extends CallOptions {
  /** The workflow id: names the chain of runs. Default: one that the engine makes up. */
  readonly id?: string;
  /** Names this call: repeated with the same one, it gives the run it gave before, whatever `reuse` says. */
  readonly requestId?: string;
  /** What to do when the id is taken. Default `"return"`. */
  readonly reuse?: ReusePolicy;
  /** Nothing runs before this time has passed. */
  readonly startDelay?: Duration;
  /** How long the run may take. */
  readonly runTimeout?: Duration;
  /** How long the whole chain may take, with all runs it continues as. */
  readonly executionTimeout?: Duration;
  /** What the run can be found by from the beginning: `{ customerId: "c-1", amount: 99 }`. No codec encodes them. */
  readonly attributes?: AttributeValues;
  /** Recorded with the start in one step, or sent to the run that exists: `[approval, { by: "ann", ok: true }]`. */
  readonly signal?: readonly [
    signal: Signal<Sent> | string,
    ...args: InputArguments<NoInfer<Sent>, StartSignalOptions>,
  ];
}

const startOptionNames: OptionNames<StartOptions> = {
  id: true,
  requestId: true,
  reuse: true,
  startDelay: true,
  runTimeout: true,
  executionTimeout: true,
  attributes: true,
  signal: true,
  ...callOptionNames,
};

export interface GetOptions<Output> {
  /** One run of the chain. Default: the latest. */
  readonly runId?: string;
  /** Gives the handle its types; not checked against the run. */
  readonly workflow?: Workflow<never, Output>;
}

const getOptionNames: OptionNames<GetOptions<unknown>> = { runId: true, workflow: true };

export interface ClientOptions {
  /**
   * Encodes what is sent (inputs, payloads of signals, inputs of queries) and decodes what is read. `aes256gcm` of `aion/codec`, in
   * browsers `webAes256gcm`, or your own.
   */
  readonly codec?: PayloadCodec;
  /** Makes a span of each call that changes or asks something of a run: `otelTracing()` of `aion/otel`. Default: none. */
  readonly tracing?: Tracing | undefined;
}

const clientOptionNames: OptionNames<ClientOptions> = { codec: true, tracing: true };
const remoteOptionNames: OptionNames<RemoteOptions & Pick<ClientOptions, "codec">> = {
  url: true,
  token: true,
  fetch: true,
  namespace: true,
  patience: true,
  codec: true,
};

/** All given conditions hold. */
export interface RunListFilter extends Omit<ListFilter, "where"> {
  /**
   * Conditions on search attributes, by name: `{ customerId: "c-1", region: ["eu", "us"], amount: { from: 100 }, dueAt: { exists: true } }`;
   * or as text (`amount>=100`). A value is compared with values of its own type.
   */
  readonly where?: AttributeWhere | readonly string[];
}

const listFilterNames: OptionNames<RunListFilter> = {
  workflowId: true,
  workflowType: true,
  status: true,
  isBlocked: true,
  isParked: true,
  startedAfter: true,
  startedBefore: true,
  closedAfter: true,
  closedBefore: true,
  parentWorkflowId: true,
  where: true,
};

export interface ListOptions extends CallOptions {
  /** The runs are given with their search attributes. */
  readonly withAttributes?: boolean;
  /** Runs asked for at a time, up to 1,000. Default 200. */
  readonly pageSize?: number;
}

const listOptionNames: OptionNames<ListOptions> = {
  ...callOptionNames,
  withAttributes: true,
  pageSize: true,
};

export interface PageOptions extends CallOptions {
  /** The runs are given with their search attributes. */
  readonly withAttributes?: boolean;
  readonly limit?: number;
  /** `nextCursor` of the page before. */
  readonly cursor?: string | undefined;
}

const pageOptionNames: OptionNames<PageOptions> = {
  ...callOptionNames,
  withAttributes: true,
  limit: true,
  cursor: true,
};

export interface FeedOptions extends CallOptions {
  /** The cursor of the last event that was dealt with. Default: from now on. `"oldest"`: from the oldest that is kept. */
  readonly after?: string;
  /** All given conditions hold; those on search attributes of what a run has when its events are read. */
  readonly filter?: Omit<FeedFilter, "where"> & Pick<RunListFilter, "where">;
}

const feedOptionNames: OptionNames<FeedOptions> = { ...callOptionNames, after: true, filter: true };
const feedFilterNames: OptionNames<NonNullable<FeedOptions["filter"]>> = {
  workflowId: true,
  workflowType: true,
  types: true,
  where: true,
};

/**
 * Starts workflows and talks to their runs: the same interface for an engine in this process (`engine.client`) and for a
 * server elsewhere. Runs in browsers, too.
 *
 * @example
 * const run = await engine.client.start(fulfil, order, { id: "order-42" });
 * console.log(await run.result());
 */
export class Client {
  readonly #service: Service;
  /** Workflows that start at given times. */
  readonly schedules: Schedules;

  /**
   * Of a server, by its address, or of any `Service`. Makes no connection yet.
   * Error: `invalid_argument` (no address of a server).
   *
   * @example
   * const client = new Client({ url: "http://127.0.0.1:4466", token: process.env.AION_TOKEN });
   */
  constructor(of: Service | (RemoteOptions & Pick<ClientOptions, "codec">), options: ClientOptions = {}) {
    demandKnownOptions(options, clientOptionNames, "a client");
    if (!isService(of)) demandKnownOptions(of, remoteOptionNames, "a client of a server");
    const { codec = isService(of) ? undefined : of.codec, tracing } = options;
    const service = isService(of) ? of : connectRemote(of);
    const traced = tracing === undefined ? service : traceService(service, tracing);
    // Outside the spans: what is told of a call that failed is told encoded.
    this.#service = codec === undefined ? traced : new CodedService(traced, codec);
    this.schedules = new Schedules(this.#service);
  }

  /**
   * Starts a run. Resolves when the start is on disk: from then on it survives whatever happens.
   *
   * Idempotent by `id`: with the same type and input it gives the run that exists (`isNew` is false); see `reuse`.
   * Errors: `payload_invalid`, `payload_not_serializable`, `payload_too_large`, `workflow_type_unknown`,
   * `workflow_already_exists`, `attribute_invalid`, `invalid_argument`.
   *
   * @example
   * const run = await client.start(fulfil, order, { id: "order-42", runTimeout: "1 day" });
   */
  start<Input, Output, Sent>(
    workflow: Workflow<Input, Output>,
    ...args: InputArguments<NoInfer<Input>, StartOptions<Sent>>
  ): Promise<RunHandle<Output>>;
  start<Sent>(workflowType: string, input?: unknown, options?: StartOptions<Sent>): Promise<RunHandle>;
  async start(
    workflow: AnyWorkflow | string,
    input?: unknown,
    options: StartOptions = {},
  ): Promise<RunHandle> {
    const request = toStartRequest(workflow, input, options);
    const { workflowId, runId, isNew } = await abortable(options.abortSignal, (call) =>
      this.#service.start(request, call),
    );
    return new RunHandle(this.#service, { workflowId, runId, isNew, isPinned: false });
  }

  /**
   * A handle to runs that exist, without asking whether they do. With the workflow's definition `result` is typed.
   *
   * @example
   * const receipt = await client.get("order-42", { workflow: fulfil }).result();
   */
  get<Output = unknown>(workflowId: string, options: GetOptions<Output> = {}): RunHandle<Output> {
    demandKnownOptions(options, getOptionNames as OptionNames<GetOptions<Output>>, "get");
    return new RunHandle<Output>(this.#service, {
      workflowId: parseWorkflowId(workflowId),
      isPinned: options.runId !== undefined,
      ...(options.runId === undefined ? {} : { runId: parseRunId(options.runId) }),
    });
  }

  /**
   * All runs that match, the latest first, fetched page by page. All given conditions must hold; instants are
   * milliseconds since 1970, bounds included. Error: `invalid_argument` (a condition on search attributes that is none).
   *
   * @example
   * const open = client.list({ status: "running", where: { customerId: "c-1", amount: { from: 100 } } });
   * for await (const run of open) console.log(run.workflowId);
   */
  async *list(
    filter: RunListFilter = {},
    options: ListOptions = {},
  ): AsyncGenerator<RunSummary, void, undefined> {
    demandKnownOptions(options, listOptionNames, "list");
    const { pageSize: limit = listPageRuns, ...rest } = options;
    let cursor: string | undefined;
    do {
      const page = await this.listPage(filter, { ...rest, limit, cursor });
      yield* page.runs;
      cursor = page.nextCursor;
    } while (cursor !== undefined);
  }

  /** One page of the runs that match; `nextCursor` is there when there are more. */
  async listPage(filter: RunListFilter = {}, options: PageOptions = {}): Promise<ListReply> {
    demandKnownOptions(options, pageOptionNames, "listPage");
    const { limit = listPageRuns, cursor, abortSignal, withAttributes } = options;
    const request = {
      filter: toFilter(filter, listFilterNames, "a filter of runs"),
      limit,
      ...(cursor === undefined ? {} : { cursor }),
      ...(withAttributes === undefined ? {} : { withAttributes }),
    };
    return await abortable(abortSignal, (call) => this.#service.list(request, call));
  }

  /** How many runs match. */
  async count(filter: RunListFilter = {}, options: CallOptions = {}): Promise<number> {
    demandKnownOptions(options, callOptionNames, "count");
    const request = toFilter(filter, listFilterNames, "a filter of runs");
    return await abortable(options.abortSignal, (call) => this.#service.count(request, call));
  }

  /**
   * Events of all runs, or of those that a filter names, as they are recorded: without end, without a gap and none twice, in
   * the order of their commits. Keep the cursor of the last one that was dealt with, and go on after it: also in another
   * process, after a restart of either side.
   *
   * The engine has to be opened with `feed: true`. Events that cannot be read from the disk are `unreadable` in their place.
   * Errors: `feed_off`; `cursor_expired` when something after the cursor may be missing: read the list of runs, and go on from
   * now.
   *
   * @example
   * for await (const { cursor, workflowId, event } of client.feed({ after: "oldest" })) {
   *   console.log(cursor, workflowId, event?.type);
   * }
   */
  async *feed(options: FeedOptions = {}): AsyncGenerator<FeedEvent, void, undefined> {
    demandKnownOptions(options, feedOptionNames, "feed");
    const { filter, abortSignal } = options;
    for (let after = options.after ?? ""; ;) {
      const request = {
        after,
        limit: feedPageEvents,
        waitMs: feedWaitMs,
        ...(filter === undefined
          ? {}
          : { filter: toFilter(filter, feedFilterNames, "a filter of the feed") }),
      };
      const { events, nextCursor } = await abortable(abortSignal, (call) =>
        this.#service.feed(request, call),
      );
      for (const event of events) {
        abortSignal?.throwIfAborted();
        yield event;
      }
      after = nextCursor;
    }
  }
}

function toStartRequest(workflow: AnyWorkflow | string, input: unknown, options: StartOptions): StartRequest {
  const { type, schema } =
    typeof workflow === "string"
      ? { type: parseName(workflow, "workflow type"), schema: undefined }
      : { type: workflow.workflowType, schema: workflow.inputSchema };
  demandKnownOptions(options, startOptionNames, "a start");
  const { id, requestId, reuse, startDelay, runTimeout, executionTimeout, signal } = options;
  const attributes = parseAttributes(options.attributes, "the attributes of a start");
  return {
    workflowType: type,
    input: toCheckedPayload(input, schema, `the input of workflow ${JSON.stringify(type)}`),
    ...(id === undefined ? {} : { workflowId: parseWorkflowId(id) }),
    ...(requestId === undefined ? {} : { requestId: parseName(requestId, "request id") }),
    ...(reuse === undefined ? {} : { reuse }),
    ...(startDelay === undefined ? {} : { startDelayMs: parseDuration(startDelay, "startDelay") }),
    ...(runTimeout === undefined ? {} : { runTimeoutMs: parseDuration(runTimeout, "runTimeout") }),
    ...(executionTimeout === undefined
      ? {}
      : { executionTimeoutMs: parseDuration(executionTimeout, "executionTimeout") }),
    ...(signal === undefined ? {} : { signal: toStartSignal(signal) }),
    ...(attributes === undefined ? {} : { attributes }),
  };
}

/** Something that answers calls itself, and not what names a server. */
function isService(of: Service | (RemoteOptions & Pick<ClientOptions, "codec">)): of is Service {
  return typeof of === "object" && of !== null && "start" in of;
}

/** Conditions as text. A condition that nobody would read would find more than is asked for. */
function toFilter<Filter extends Pick<RunListFilter, "where">>(
  filter: Filter,
  names: OptionNames<Filter>,
  of: string,
): Omit<Filter, "where"> & { readonly where?: readonly string[] } {
  demandKnownOptions(filter, names, of);
  const { where, ...rest } = filter;
  return { ...rest, ...(where === undefined ? {} : { where: formatWhere(where) }) };
}

function toStartSignal(of: NonNullable<StartOptions["signal"]>): NonNullable<StartRequest["signal"]> {
  const [signal, payload, options]: readonly [AnySignal | string, unknown?, StartSignalOptions?] = of;
  return toSignal(signal, payload, options ?? {}, startSignalOptionNames);
}
