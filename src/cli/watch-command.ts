import type { Command } from "commander";
import type { FeedEvent, FeedFilter, FeedReply } from "../client/service.ts";
import type { EventType } from "../core/event.ts";
import { isEventType } from "../core/event.ts";
import { formatClock, formatInstant } from "./instant.ts";
import { toFeedView } from "./json-view.ts";
import { style } from "./output.ts";
import { printable } from "./printable.ts";
import { Session } from "./session.ts";
import { shorten, terminalWidth, widthOf } from "./table.ts";
import { usageError, whereOption } from "./usage.ts";

const pageEvents = 200;
const waitPerCallMs = 20_000;

interface WatchOptions {
  readonly type?: string;
  readonly event?: readonly EventType[];
  readonly after?: string;
  readonly oldest?: true;
  readonly once?: true;
  readonly where?: readonly string[];
}

/** The command that follows the feed: watch. */
export function addWatchCommand(program: Command): void {
  program
    .command("watch")
    .description(
      "Events of all runs as they are recorded, until it is stopped. The engine has to keep a feed.",
    )
    .argument("[id]", "those of this workflow id")
    .option("--type <workflow-type>", "those of this workflow type")
    .option("--event <type>", "those of this type of event; may be repeated", collectEvents)
    .option(
      "--where <condition>",
      "those of runs with such search attributes: 'customerId=c-1', 'amount>=100' (all that are given hold)",
      whereOption,
    )
    .option("--after <cursor>", "go on after the event that had this cursor (see --json)")
    .option("--oldest", "begin at the oldest that the feed keeps, not now")
    .option("--once", "what there is, and no more")
    .action(watch);
}

function collectEvents(text: string, before: readonly EventType[] = []): readonly EventType[] {
  if (isEventType(text)) return [...before, text];
  throw usageError(
    `there is no event type ${JSON.stringify(text)}`,
    "Use a type as `aion history` shows it, such as WorkflowCompleted.",
  );
}

async function watch(workflowId: string | undefined, options: WatchOptions, command: Command): Promise<void> {
  const { type, event: types, after, oldest, once } = options;
  if (after !== undefined && oldest === true)
    throw usageError("--after and --oldest name two places to begin at", "Name one of the two.");
  const session = new Session(command);
  const { output } = session;
  const filter: FeedFilter = {
    ...(workflowId === undefined ? {} : { workflowId }),
    ...(type === undefined ? {} : { workflowType: type }),
    ...(types === undefined ? {} : { types }),
    ...(options.where === undefined ? {} : { where: options.where }),
  };
  // Of a look at what there is the beginning is the oldest: from now on there is nothing yet.
  let cursor = after ?? (oldest === true || once === true ? "oldest" : "");
  let day = "";
  // Over restarts of the engine it goes on behind what was shown.
  await session.waiting(async ({ service }) => {
    for (;;) {
      // The terminal may be made wider or narrower meanwhile.
      const width = terminalWidth();
      const reply: FeedReply = await service.feed({
        after: cursor,
        limit: pageEvents,
        filter,
        ...(once === true ? {} : { waitMs: waitPerCallMs }),
      });
      for (const item of reply.events) {
        if (output.isJson) {
          output.json("watch", toFeedView(item));
          continue;
        }
        const date = item.event === undefined ? day : formatInstant(item.event.recordedAt).slice(0, 10);
        if (date !== day) output.line(style("dim", date));
        day = date;
        output.line(toLine(item, width));
      }
      cursor = reply.nextCursor;
      if (once === true && reply.isAtHead) return;
    }
  });
}

const typeWidth = 24;

/** Before the ids. */
const headWidth = 47;
/** More than half for the workflow id, unless it needs less. */
const idShare = 0.6;

function toLine({ workflowId, workflowType, event, unreadable }: FeedEvent, width: number): string {
  const room = Math.max(0, width - headWidth - 4);
  const type = printable(workflowType);
  const id = shorten(
    printable(workflowId),
    Math.max(Math.floor(room * idShare), room - widthOf(type)),
    "middle",
  );
  const of = `${id}  ${style("dim", shorten(type, room - widthOf(id), "middle"))}`;
  if (event === undefined) {
    const { firstSeq, lastSeq, message } = unreadable;
    return `${style("red", `cannot be read: events ${firstSeq} to ${lastSeq}`)}  ${of}  ${printable(message)}`;
  }
  const seq = String(event.seq).padStart(5);
  return `${style("dim", formatClock(event.recordedAt))}  ${event.type.padEnd(typeWidth)}  ${style("dim", seq)}  ${of}`;
}
