import type { Context, Hono } from "hono";
import { z } from "zod";
import { roles } from "../client/access.ts";
import type { AuditPage, AuditQuery, Grant, KeyDirectory } from "../client/access.ts";
import { auditPath, keysPath } from "../client/routes.ts";
import { underAdmission } from "./admission.ts";
import type { Admit } from "./admission.ts";
import { readBody } from "./body.ts";
import { instant } from "./forms.ts";
import { readQuery } from "./operations.ts";
import type { JsonSchema } from "./operations.ts";
import { askedOf, parseJson } from "./request-context.ts";
import type { Env } from "./request-context.ts";
import { parseRequest } from "./requests.ts";

/** Who may call a server, and who has. */
export interface AccessOptions {
  readonly keys: KeyDirectory;
  readonly readAudit: (query: AuditQuery) => Promise<AuditPage>;
}

const bodyBytesMax = 256 * 1024;
const entriesMax = 1_000;

const names = z.union([z.literal("*"), z.array(z.string()).min(1)]);
/** What a grant means is looked at where it is granted. */
const grant: z.ZodType<Grant> = z.strictObject({
  roles: z.array(z.enum(roles)).min(1),
  namespaces: names.meta({ description: "`*`: all, those that will be made later too." }),
  taskQueues: names.exactOptional().meta({ description: "What a worker may serve. Default `*`." }),
});
const durationMs = z.number().int().nonnegative();
const createSchema = z.strictObject({
  subject: z.string().meta({ description: "Who will hold it." }),
  grants: z.array(grant),
  expiresInMs: durationMs.exactOptional().meta({ description: "Default: it does not expire." }),
  requestId: z.string().exactOptional().meta({
    description:
      "Names the call, as the header `Idempotency-Key` does: repeated, it makes no second key, and gives the first one a new secret.",
  }),
});
const rotateSchema = z.strictObject({
  overlapMs: durationMs.exactOptional().meta({
    description: "How long the secret of before is taken, too, in milliseconds. Default 24 hours.",
  }),
  requestId: z.string().exactOptional().meta({
    description:
      "Names the call, as the header `Idempotency-Key` does: repeated, the secret of before the first one stays what it was.",
  }),
});
const auditSchema = z.strictObject({
  since: instant.exactOptional(),
  until: instant.exactOptional(),
  subject: z.string().exactOptional(),
  operation: z.string().exactOptional(),
  namespace: z.string().exactOptional(),
  outcome: z.string().exactOptional(),
  limit: z.number().int().min(1).max(entriesMax).default(100),
  cursor: z.string().max(20).exactOptional(),
});

export const accessSchemas = { create: createSchema, rotate: rotateSchema, audit: auditSchema };
/** The forms of their requests, for the document. */
export const accessForms = {
  create: z.toJSONSchema(createSchema, { io: "input" }) as JsonSchema,
  rotate: z.toJSONSchema(rotateSchema, { io: "input" }) as JsonSchema,
  audit: z.toJSONSchema(auditSchema, { io: "input" }) as JsonSchema,
};

/** The header names the call unless its body does. */
function named(context: Context<Env>, body: unknown): unknown {
  const requestId = context.req.header("idempotency-key");
  return requestId === undefined || !isPlainObject(body) ? body : { requestId, ...body };
}

function isPlainObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function addAccess(
  app: Hono<Env>,
  { keys, readAudit }: AccessOptions,
  admit: Admit | undefined,
): void {
  app.get(keysPath, (context) =>
    underAdmission(admit, askedOf(context, "listKeys"), async () => context.json({ keys: keys.list() })),
  );
  app.post(keysPath, (context) =>
    underAdmission(admit, askedOf(context, "createKey"), async ({ admission, begin, note }) => {
      const body = await readBody(context.req.raw, bodyBytesMax);
      const request = parseRequest(createSchema, named(context, parseJson(body)), "createKey");
      await begin({ subject: request.subject });
      const made = keys.create(request, admission.subject);
      note({ keyId: made.key.id });
      return context.json(made, 201);
    }),
  );
  app.post(`${keysPath}/:id/rotate`, (context) =>
    underAdmission(admit, askedOf(context, "rotateKey"), async ({ begin }) => {
      const body = await readBody(context.req.raw, bodyBytesMax);
      const id = context.req.param("id");
      const request = { id, ...parseRequest(rotateSchema, named(context, parseJson(body)), "rotateKey") };
      await begin({ keyId: id });
      return context.json(keys.rotate(request));
    }),
  );
  app.delete(`${keysPath}/:id`, (context) =>
    underAdmission(admit, askedOf(context, "revokeKey"), async ({ begin }) => {
      const id = context.req.param("id");
      await begin({ keyId: id });
      return context.json(keys.revoke(id));
    }),
  );
  app.get(auditPath, (context) =>
    underAdmission(admit, askedOf(context, "readAudit"), async () => {
      const fields = readQuery(new URL(context.req.url).searchParams, accessForms.audit);
      return context.json(await readAudit(parseRequest(auditSchema, fields, "readAudit")));
    }),
  );
}
