import {
  descriptionToJson,
  eventToJson,
  feedEventToJson,
  logsLineToJson,
  resultToJson,
  updateToJson,
} from "../client/json-form.ts";
import type { FeedEvent, LogsLine, ResultReply, UpdateReply, RunDescription } from "../client/service.ts";
import type { Event } from "../core/event.ts";
import type { DocumentOf, EventDocument, LogsLineDocument } from "./documents.ts";

// What `--json` prints is what goes over HTTP. That it fits the documents' schemas is tested, not derived.

export function toEventView(event: Event): EventDocument {
  return eventToJson(event) as EventDocument;
}

export function toLogsLineView(line: LogsLine): LogsLineDocument {
  return logsLineToJson(line) as LogsLineDocument;
}

export function toFeedView(event: FeedEvent): DocumentOf<"watch"> {
  return feedEventToJson(event) as DocumentOf<"watch">;
}

export function toDescriptionView(description: RunDescription): DocumentOf<"describe"> {
  return descriptionToJson(description) as DocumentOf<"describe">;
}

export function toUpdateView(workflowId: string, reply: UpdateReply): DocumentOf<"update"> {
  return { workflowId, ...updateToJson(reply) } as DocumentOf<"update">;
}

export function toResultView(workflowId: string, reply: ResultReply): DocumentOf<"result"> {
  return { workflowId, ...resultToJson(reply) } as DocumentOf<"result">;
}
