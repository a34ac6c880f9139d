/**
 * Makes docs/server.md: what is written here, and the tables of settings and of the API from the code.
 * node scripts/bootstrap.mjs docs/generate-server.ts. A test fails when the page is not what this makes.
 */
import { writeFileSync } from "node:fs";
import path from "node:path";
import process from "node:process";
import { describeSettings } from "../src/cli/configuration.ts";
import { apiPrefix, livePath, namespacesPath, readyPath, streamPaths } from "../src/client/routes.ts";
import { summaryOf } from "../src/http/openapi.ts";
import { operationsFor } from "../src/http/operations.ts";
import { formatMarkdown } from "./format-markdown.ts";

const introduction = `# The server

<!-- Made by docs/generate-server.ts. Change the text there, and the settings in src/cli/configuration.ts. -->

\`aion server\` serves workflows over HTTP on one port: start, signal, query, cancel, results, histories and streams of events, deploying
and routing. The workflow code comes as [packages](guide.md#packages). Every call that changes something is answered after its
commit is on disk.

\`\`\`sh
aion server --data ./aion-data
aion deploy order.ts --url http://127.0.0.1:4466
aion start fulfil --id order-42 --input '{"id": "42", "amount": 99}' --url http://127.0.0.1:4466
\`\`\`

Activities run on [workers](guide.md#workers): \`aion worker order.ts --url http://127.0.0.1:4466\`. One that nobody serves waits, visibly.

**Not there yet**: authentication and TLS (so the server listens to its own machine alone, and to no web page of another site).

## Namespaces

A namespace is a store of its own, on a file of its own (\`DATA/namespaces/NAME.db\`), with an engine of its own. Nothing of one can be met
from another, and a file that is damaged or a disk that fails is not felt in another: calls to that namespace are refused with the
reason, and the server opens it again when it can. \`aion namespace create NAME\` makes one, \`aion namespace list\` shows them. The file is
an ordinary one: \`aion backup --store sqlite:DATA/namespaces/NAME.db FILE\` copies it while the server runs.

## Settings

Flags of \`aion server\` go before the environment, the environment before the file \`aion.config.json\` (\`--config\` or
\`AION_CONFIG\` name another), and the file before the defaults. Times are milliseconds or texts such as \`"30s"\`.
`;

const middle = `
## The API

\`GET /openapi.json\` is the whole of it, as OpenAPI 3.1, made of the schemas that requests are checked with; \`/docs\` shows it in a browser, and lets it be tried. Payloads are JSON values. Errors are
\`{"error": {"code", "message", "hint", "details"}}\` with the [codes](errors.md) that all of Aion has. Paths begin with
\`${apiPrefix}{namespace}\`; a namespace that is not named is \`default\` in the client and the command.
`;

const end = `
- **Repeating a call.** A start with a \`requestId\` and a signal with a \`signalId\` may be repeated: there is no second effect. The header
  \`Idempotency-Key\` says the same. \`new Client({ url })\` gives both a name when they have none, and repeats them, and whatever only reads,
  while the server is away (\`patience\`, 30 s).
- **Waiting.** \`result\` and \`history\` with \`waitMs\` wait up to 25 s for what is asked for; ask again to wait longer.
- **Following.** \`${streamPaths.run.replace("{workflowId}", "ID")}\` gives the events of a run, and \`${streamPaths.feed}\` those of all runs of the namespace in the order of their commits (or of a
  \`workflowType\`, of some \`types\`), as server-sent events, or over a WebSocket if the request asks for one. Each has a cursor (its \`id\`; of a run the seq):
  come back with it, as \`Last-Event-ID\`, \`after\` or \`fromSeq\`, and nothing is missed and nothing comes twice, over whatever restarts. Whoever reads
  slowly costs one page of memory. What is older than three days has left the feed: \`cursor_expired\`.
- **Ids in paths** are percent-encoded. The ids \`.\` and \`..\` cannot be part of a URL, and are refused by the client.

## gRPC

The same port speaks gRPC, gRPC-Web and Connect: \`proto/aion/v1/workflows.proto\` has the services, with the same operations and the same meaning.
The JSON form of each message is what goes over HTTP, so \`curl --json '{"status": "running"}' URL/aion.v1.WorkflowService/Count\` is a call, too. An error has
the status of gRPC that fits, and an \`ErrorDetail\` with Aion's code, hint and details. \`Follow\` streams the events of a run.

Workers have a service of their own, \`proto/aion/v1/workers.proto\`: a stream in each direction.

## Stopping

SIGTERM or SIGINT: \`${readyPath}\` says no, no more connections are accepted, calls that wait are answered with \`engine_closed\`, those that change
something with what they lead to; attempts of activities may end within \`drain\`; the files are given up; exit code 0. A second signal
ends the process at once (130). A \`kill -9\` is as safe: nothing acknowledged is lost.

## In a program

\`Server\` from \`aion/server\` is what the command runs; with \`workflows\` and \`activities\` the code needs no deploying.

\`\`\`ts
// serve.ts
import { Server } from "aion/server";
import { activity, workflow } from "aion/workflow";

const charge = activity("charge", async (amount: number) => \`pay_\${amount}\`);
const order = workflow("order", async (amount: number) => await charge(amount));

export function serve(): Promise<Server> {
  return Server.open({ data: "./aion-data", workflows: [order], activities: [charge] });
}
\`\`\`
`;

export async function renderServer(): Promise<string> {
  const settings = describeSettings().map(
    ({ name, variable, standard, text }) =>
      `| \`${name}\` | \`${variable}\` | ${standard === "" ? "" : `\`${standard}\``} | ${text} |`,
  );
  const calls = operationsFor(1_000).map(
    ({ method, route }) => `| \`${route.verb} ${route.path}\` | ${summaryOf(method)} |`,
  );
  return await formatMarkdown(
    [
      introduction,
      "| setting | environment | default | meaning |",
      "| --- | --- | --- | --- |",
      ...settings,
      middle,
      "| call | what it does |",
      "| --- | --- |",
      ...calls,
      `| \`GET ${streamPaths.run}\` | Follow the events of a run |`,
      `| \`GET ${streamPaths.feed}\` | Follow the events of all runs |`,
      `| \`GET ${namespacesPath}\`, \`POST ${namespacesPath}\` | List namespaces, make one (\`{"name"}\`) |`,
      `| \`GET ${livePath}\`, \`GET ${readyPath}\` | Whether it answers, whether it takes calls |`,
      end,
    ].join("\n"),
  );
}

export const serverPage = path.join(import.meta.dirname, "server.md");

if (process.argv[1] === import.meta.filename) writeFileSync(serverPage, await renderServer());
