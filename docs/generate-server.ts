/**
 * Makes docs/server.md: what is written here, and the tables of settings and of the API from the code.
 * node scripts/bootstrap.mjs docs/generate-server.ts. A test fails when the page is not what this makes.
 */
import { writeFileSync } from "node:fs";
import path from "node:path";
import process from "node:process";
import { describeSettings } from "../src/cli/configuration.ts";
import {
  apiPrefix,
  auditPath,
  callsMax,
  callsPath,
  keysPath,
  livePath,
  namespacesPath,
  readyPath,
  streamPaths,
  togetherMethods,
} from "../src/client/routes.ts";
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

## Namespaces

A namespace is a store of its own, on a file of its own (\`DATA/namespaces/NAME.db\`), with an engine of its own. Nothing of one can be met
from another, and a file that is damaged or a disk that fails is not felt in another: calls to that namespace are refused with the
reason, and the server opens it again when it can. \`aion namespace create NAME\` makes one, \`aion namespace list\` shows them. The file is
an ordinary one: \`aion backup --store sqlite:DATA/namespaces/NAME.db FILE\` copies it while the server runs.

The namespaces share one process, and its thread is [divided among them](architecture.md#namespaces-share-a-thread): whichever has used least is next, so
that one that is flooded takes from the others no more than its part. What they do not share fairly is the machine beside that thread: the
disk, memory, and the processor time of the processes that run their packaged code.

## Who may call

Without more, the server asks nobody who he is, and listens to its own machine alone, and to no web page of another site: that is for
development. \`auth: "required"\` makes callers show who they are. Other addresses than this machine's take that, and TLS.

\`\`\`sh
aion key create ann --data ./aion-data --grant 'admin@*'      # the first key, on the machine of the server
aion server --auth required                                   # AION_TLS_CERT, AION_TLS_KEY, and --host for other machines
AION_TOKEN=aion_… aion list --url https://aion.example:4466
\`\`\`

**Grants** are roles in namespaces, for workers in task queues, too: \`read,start@team-a\`, \`work@team-a/gpu\`, \`admin@*\`; or
\`{"roles": ["work"], "namespaces": ["team-a"], "taskQueues": ["gpu"]}\`. Grants add up. No role includes another, but \`admin\` includes all.

| role | what it allows |
| --- | --- |
| \`read\` | list, count, describe, results, histories, the feed, streams of events, queries, the lists of packages, workers and schedules |
| \`start\` | start runs; with a signal it takes \`signal\`, with \`reuse: "terminate"\` it takes \`operate\`, too |
| \`signal\` | send signals, make updates and hear what came of them |
| \`operate\` | cancel, terminate, pause, resume, reopen and reset runs; resume parked activities; fork (with \`start\`); make, change, trigger and delete schedules (with \`start\`) |
| \`deploy\` | deploy, route and unload packages. **That is the right to run code on the server.** |
| \`work\` | be a worker, of the task queues of the grant |
| \`admin\` | all of these. In all namespaces (\`admin@*\`): keys, the audit log, and making namespaces, too |

Without a grant in a namespace its name leads to \`namespace_not_found\`, whether it is there or not; without the role to
\`permission_denied\` (HTTP 403); without credentials that hold to \`unauthenticated\` (401). What is open with a key, a token or a certificate
ends when that does.

- **API keys**: \`aion key create SUBJECT --grant …\`, \`list\`, \`rotate ID --overlap 1h\` (a new secret; the one before is taken for that long,
  too), \`revoke ID\`; with \`--data DIR\` on the machine, whether the server runs or not, or over the network with the key of an admin
  (\`GET\` and \`POST ${keysPath}\`, \`DELETE ${keysPath}/ID\`, \`POST ${keysPath}/ID/rotate\`). A key is shown once. It goes with calls as
  \`Authorization: Bearer aion_…\`: \`token\` of \`Client\` and \`Worker\`, \`--token\` or \`AION_TOKEN\` of the commands.
- **Tokens** (JWT; OpenID Connect): \`jwtIssuer\`, \`jwtAudience\` and \`jwtJwks\`. Grants are in the claim \`aion_grants\`, or come from other claims by
  \`jwtRules\`. \`token\` of \`Client\` and \`Worker\` may be a function that gets a fresh one. When the keys of the issuer cannot be had, nobody is
  let in by a token: \`identity_unavailable\`. A token is checked again each minute for as long as something is open with it.
- **Certificates**: \`tlsClientCa\` and \`certificates\`. A rule names a certificate by \`CN=…\`, \`DNS:…\`, \`URI:…\` or \`email:…\`, exactly. \`Worker\` has \`tls\`,
  the commands \`--ca\`, \`--cert\` and \`--key\`; \`Client\` takes a \`fetch\` that has them.
- **TLS** 1.2 and later, HTTP/2 and HTTP/1.1 on the one port. Changed files are taken within ten seconds; when
  \`tlsClientCa\` changes, callers who have shown a certificate are disconnected, and let in again if its authority is still there. Who is refused by a certificate has no connection, and stands in the log (one line in ten
  seconds, however many) instead of the audit. Clients that do not know the authority: \`NODE_EXTRA_CA_CERTS\`, or
  \`--ca\`. Where a proxy ends TLS: \`behindTlsProxy\`.
- **Web pages** may call if the server has sent them, or if \`origins\` names where they come from.
- **Failed attempts** are bounded by address (\`failedAttemptsMax\`): above that the answer is \`too_many_attempts\`, 429 with \`Retry-After\`. Who shows
  what holds is let in all the same.
- **Health** (\`GET ${livePath}\`, \`GET ${readyPath}\`) is for everybody; the process id and the version are told to who is known.
- **The audit log**: \`aion audit\`, \`GET ${auditPath}\`. What changes something is in it before it is done, and so are refusals.

[SECURITY.md](../SECURITY.md) says what is defended, and what is not.

## Settings

Flags of \`aion server\` go before the environment, the environment before the file \`aion.config.json\` (\`--config\` or
\`AION_CONFIG\` name another), and the file before the defaults. The flag of
\`residentMax\` is \`--resident-max\`, and so on. Times are milliseconds or texts such as \`"30s"\`. A variable that no command reads and that
looks like one of these is told of when a command starts; a flag or a field of the file that is none is refused.
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
- **Many at once.** \`POST ${callsPath}\` takes up to ${callsMax} calls (\`callsPerRequestMax\`), \`{"calls": [{"operation": "start", "request": {"workflowType", "input", …}}, …]}\`, of
  ${togetherMethods.map((method) => `\`${method}\``).join(", ")}. Each is admitted, recorded and answered by itself: a line of
  JSON each, \`{"call": 0, "status": 201, "body": …}\`, as soon as the answer is there. \`new Client({ url })\` sends calls that are made at once in that way, by itself;
  one that has no company goes alone.
- **Following.** \`${streamPaths.run.replace("{workflowId}", "ID")}\` gives the events of a run, and \`${streamPaths.feed}\` those of all runs of the namespace in the order of their commits (or of a
  \`workflowType\`, of some \`types\`), as server-sent events, or over a WebSocket if the request asks for one. Each has a cursor (its \`id\`; of a run the seq):
  come back with it, as \`Last-Event-ID\`, \`after\` or \`fromSeq\`, and nothing is missed and nothing comes twice, over whatever restarts. Whoever reads
  slowly costs one page of memory. What is older than three days has left the feed, and who has seen
  more of a run than there is was reading another history (its store was put back): \`cursor_expired\`. A WebSocket that is refused gets the error as an
  answer of HTTP, which a program can read. A web page cannot: one that may read answers of the server gets the error as a message,
  \`{"error": …}\`, and a close with 4000 + the status, and the code as its reason (4401 \`unauthenticated\`, 4404 \`run_not_found\`).
- **Ids in paths** are percent-encoded. The ids \`.\` and \`..\` cannot be part of a URL, and are refused by the client.

### Finding runs

\`where\` of \`GET …/workflows\`, \`…/workflow-count\` and \`…/events\` is a condition on [search attributes](guide.md#search-attributes); given more than
once, all of them hold: \`?where=customerId%3Dc-1&where=amount%3E%3D100\`. \`withAttributes=true\` gives the attributes with the runs of a list. A condition that
is none is refused with \`invalid_argument\`.

## gRPC

The same port speaks gRPC, gRPC-Web and Connect: \`proto/aion/v1/workflows.proto\` has the services, with the same operations and the same meaning.
The JSON form of each message is what goes over HTTP, so \`curl --json '{"status": "running"}' URL/aion.v1.WorkflowService/Count\` is a call, too. An error has
the status of gRPC that fits, and an \`ErrorDetail\` with Aion's code, hint and details; so has what the protocol refuses by
itself (a message that cannot be decoded or is too large, a method that is not there). \`Follow\` streams the events of a run.

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
      `| \`POST ${callsPath}\` | Make many calls in one request |`,
      `| \`GET ${streamPaths.run}\` | Follow the events of a run |`,
      `| \`GET ${streamPaths.feed}\` | Follow the events of all runs |`,
      `| \`GET ${namespacesPath}\`, \`POST ${namespacesPath}\` | List namespaces, make one (\`{"name"}\`) |`,
      `| \`GET ${keysPath}\`, \`POST ${keysPath}\`, \`DELETE ${keysPath}/{id}\`, \`POST ${keysPath}/{id}/rotate\` | API keys |`,
      `| \`GET ${auditPath}\` | What was asked of the server |`,
      `| \`GET ${livePath}\`, \`GET ${readyPath}\` | Whether it answers, whether it takes calls |`,
      end,
    ].join("\n"),
  );
}

export const serverPage = path.join(import.meta.dirname, "server.md");

if (process.argv[1] === import.meta.filename) writeFileSync(serverPage, await renderServer());
