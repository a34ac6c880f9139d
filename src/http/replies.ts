import { z } from "zod";
import type { Service } from "../client/service.ts";
import {
  anyEvent,
  count,
  deployed,
  description,
  failure,
  feedEvent,
  feedPage,
  historyPage,
  json,
  namespaceSummary,
  packages,
  results,
  runPage,
  runSummary,
  started,
  workers,
} from "./forms.ts";

/** What each method answers with, by the name that the form has in the document; `undefined`: nothing but that it was done. */
export const replyNames = {
  start: "Started",
  signal: undefined,
  query: "Answer",
  cancel: undefined,
  terminate: undefined,
  result: "Result",
  describe: "RunDescription",
  list: "RunPage",
  count: "Count",
  history: "History",
  feed: "Feed",
  deploy: "Deployed",
  listPackages: "Packages",
  listWorkers: "Workers",
  route: undefined,
  unload: undefined,
} as const satisfies Readonly<Record<keyof Service, string | undefined>>;

export const replySchemas = {
  Started: started,
  Answer: z.object({ result: json }),
  Result: z.discriminatedUnion("status", results),
  RunDescription: description,
  RunPage: runPage,
  Count: count,
  History: historyPage,
  Feed: feedPage,
  FeedEvent: feedEvent,
  Deployed: deployed,
  Packages: packages,
  Workers: workers,
  Namespaces: z.object({ namespaces: z.array(namespaceSummary) }),
  Namespace: z.object({ name: z.string(), isNew: z.boolean() }),
  Error: z.object({
    error: z.object({
      code: z.string().describe("Stable: what programs match on."),
      message: z.string(),
      hint: z.string(),
      details: z.record(z.string(), z.unknown()),
    }),
  }),
  Event: anyEvent,
  Failure: failure,
  RunSummary: runSummary,
};
