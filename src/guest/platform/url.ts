/**
 * `URL`. The host parses: a parser of one's own would need the tables for names of hosts in all scripts. Text goes over
 * the border, and text comes back.
 */
import { defineInterface } from "./define.ts";
import type { CurrentPort, UrlChange } from "./port.ts";
import { linkToUrl, readQuery, URLSearchParams } from "./url-search-params.ts";

/** As JSON in what `PlatformPort.parseUrl` gives. */
interface UrlParts {
  readonly href: string;
  readonly origin: string;
  readonly protocol: string;
  readonly username: string;
  readonly password: string;
  readonly host: string;
  readonly hostname: string;
  readonly port: string;
  readonly pathname: string;
  readonly search: string;
  readonly hash: string;
}

export function installUrl(global: object, port: CurrentPort): void {
  const parse = (input: string, base?: string, change?: UrlChange): UrlParts | undefined => {
    const parts = port().parseUrl(input.toWellFormed(), base?.toWellFormed(), change);
    return parts === undefined ? undefined : (JSON.parse(parts) as UrlParts);
  };

  class URL {
    #parts: UrlParts;
    readonly #searchParams = new URLSearchParams();

    constructor(input: unknown, base?: unknown) {
      const parts = parse(String(input), base === undefined ? undefined : String(base));
      if (parts === undefined) throw invalid(input, base);
      this.#parts = parts;
      readQuery(this.#searchParams, parts.search.slice(1));
      linkToUrl(this.#searchParams, (query) => {
        this.#parts = parse(this.#parts.href, undefined, ["search", query]) ?? this.#parts;
      });
    }

    static canParse(input: unknown, base?: unknown): boolean {
      return parse(String(input), base === undefined ? undefined : String(base)) !== undefined;
    }

    static parse(input: unknown, base?: unknown): URL | null {
      return URL.canParse(input, base) ? new URL(input, base) : null;
    }

    /** What cannot be set is left as it was, as in the standard. */
    #set(part: keyof UrlParts, value: unknown): void {
      this.#parts = parse(this.#parts.href, undefined, [part, String(value).toWellFormed()]) ?? this.#parts;
      readQuery(this.#searchParams, this.#parts.search.slice(1));
    }

    get href(): string {
      return this.#parts.href;
    }
    set href(value: unknown) {
      const parts = parse(String(value));
      if (parts === undefined) throw invalid(value);
      this.#parts = parts;
      readQuery(this.#searchParams, parts.search.slice(1));
    }
    get origin(): string {
      return this.#parts.origin;
    }
    get protocol(): string {
      return this.#parts.protocol;
    }
    set protocol(value: unknown) {
      this.#set("protocol", value);
    }
    get username(): string {
      return this.#parts.username;
    }
    set username(value: unknown) {
      this.#set("username", value);
    }
    get password(): string {
      return this.#parts.password;
    }
    set password(value: unknown) {
      this.#set("password", value);
    }
    get host(): string {
      return this.#parts.host;
    }
    set host(value: unknown) {
      this.#set("host", value);
    }
    get hostname(): string {
      return this.#parts.hostname;
    }
    set hostname(value: unknown) {
      this.#set("hostname", value);
    }
    get port(): string {
      return this.#parts.port;
    }
    set port(value: unknown) {
      this.#set("port", value);
    }
    get pathname(): string {
      return this.#parts.pathname;
    }
    set pathname(value: unknown) {
      this.#set("pathname", value);
    }
    get search(): string {
      return this.#parts.search;
    }
    set search(value: unknown) {
      this.#set("search", value);
    }
    get searchParams(): URLSearchParams {
      return this.#searchParams;
    }
    get hash(): string {
      return this.#parts.hash;
    }
    set hash(value: unknown) {
      this.#set("hash", value);
    }
    toString(): string {
      return this.#parts.href;
    }
    toJSON(): string {
      return this.#parts.href;
    }
  }

  defineInterface(global, "URL", URL);
  defineInterface(global, "URLSearchParams", URLSearchParams);
}

function invalid(input: unknown, base?: unknown): TypeError {
  const error = new TypeError("Invalid URL");
  return Object.assign(
    error,
    { code: "ERR_INVALID_URL", input: String(input) },
    base === undefined ? {} : { base: String(base) },
  );
}
