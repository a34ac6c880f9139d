import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import path from "node:path";
import type { Context } from "hono";

/** Of Swagger UI, as it is published; a build has copies of them beside this file. */
const assets: Readonly<Record<string, string>> = {
  "swagger-ui.css": "text/css; charset=utf-8",
  "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
};

const page = `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8" />
    <meta name="viewport" content="width=device-width, initial-scale=1" />
    <title>Aion API</title>
    <link rel="icon" href="data:," />
    <link rel="stylesheet" href="docs/swagger-ui.css" />
  </head>
  <body>
    <div id="reference"></div>
    <script src="docs/swagger-ui-bundle.js"></script>
    <script src="docs/begin.js"></script>
  </body>
</html>
`;

const index = `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8" />
    <meta name="viewport" content="width=device-width, initial-scale=1" />
    <title>Aion</title>
    <link rel="icon" href="data:," />
    <style>
      :root { color-scheme: light dark; }
      body { font: 16px/1.6 system-ui, sans-serif; max-width: 40rem; margin: 4rem auto; padding: 0 1rem; }
      code { font-size: 0.95em; }
    </style>
  </head>
  <body>
    <h1>Aion</h1>
    <p>An Aion server answers here. It has no console yet; what it holds is shown by the command, from any machine that reaches it:</p>
    <pre><code>aion list --url SERVER
aion watch --url SERVER</code></pre>
    <ul>
      <li><a href="docs">The API, to read and to try</a> (<a href="openapi.json">OpenAPI</a>)</li>
      <li><a href="v1/namespaces">The namespaces</a></li>
      <li><a href="health/ready">Whether it takes calls</a></li>
    </ul>
  </body>
</html>
`;

const begin = `SwaggerUIBundle({ url: "openapi.json", dom_id: "#reference", deepLinking: true, displayRequestDuration: true });
`;

const headers = {
  // Nothing from elsewhere: the page works where there is no network, and tells nobody that it was looked at.
  "content-security-policy":
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'",
  "x-content-type-options": "nosniff",
};

/** What a browser is shown that knows nothing but the address, given the address. */
export function showIndex(context: Context): Response {
  const { origin } = new URL(context.req.url);
  return context.body(index.replaceAll("SERVER", origin), 200, {
    ...headers,
    "content-type": "text/html; charset=utf-8",
  });
}

/** The page that shows the API and lets it be tried. */
export function showReference(context: Context): Response {
  return context.body(page, 200, { ...headers, "content-type": "text/html; charset=utf-8" });
}

/** What the page is made of; undefined: there is nothing of that name. */
export async function showAsset(context: Context, name: string): Promise<Response | undefined> {
  if (name === "begin.js") {
    return context.body(begin, 200, { ...headers, "content-type": "text/javascript; charset=utf-8" });
  }
  if (!Object.hasOwn(assets, name)) return undefined;
  const bytes = await readFile(path.join(assetDirectory(), name));
  return context.body(new Uint8Array(bytes), 200, {
    ...headers,
    "content-type": assets[name] ?? "",
    "cache-control": "public, max-age=86400",
  });
}

function assetDirectory(): string {
  const built = path.join(import.meta.dirname, "reference");
  if (existsSync(built)) return built;
  return path.dirname(createRequire(import.meta.url).resolve("swagger-ui-dist/package.json"));
}
