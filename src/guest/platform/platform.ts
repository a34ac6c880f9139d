/**
 * The globals of workflow code: those of the language made deterministic in place, and the ones of the platform that
 * can be, over the run's port. Runs inside the realm, before any code of a user.
 */
import { installFetch, removeAbsent } from "./absent.ts";
import { installAbort } from "./abort.ts";
import { installBase64 } from "./base64.ts";
import { installConsole } from "./console.ts";
import { installDate } from "./date.ts";
import { defineInterface, defineValue } from "./define.ts";
import { DOMException } from "./dom-exception.ts";
import { installStackTraces, removeLegacyStatics } from "./errors.ts";
import { installEvents } from "./event-target.ts";
import { installIntl } from "./intl.ts";
import type { CurrentPort } from "./port.ts";
import { installPerformance } from "./performance.ts";
import { installRandom } from "./random.ts";
import { installTemporal } from "./temporal.ts";
import { installStructuredClone } from "./structured-clone.ts";
import { installTextEncoding } from "./text-encoding.ts";
import { installTimers } from "./timers.ts";
import { installUrl } from "./url.ts";

export { findRemedy } from "./absent.ts";
export { freezeRealm } from "./freeze.ts";
export { createModuleGlobal } from "./module-global.ts";
export type { PlatformPort } from "./port.ts";

/** `port` answers for the run whose code is executing; it throws when none is. */
export function installPlatform(global: object, port: CurrentPort): void {
  if (!isStrict()) throw new Error('The script of the platform must begin with "use strict"');
  removeAbsent(global);
  removeLegacyStatics();
  installStackTraces();
  // Before dates, whose methods it leaves to them.
  installIntl(port);
  installDate(global, port);
  installTemporal(global, port);
  installRandom(global, port);
  installTimers(global, port);
  installConsole(global, port);
  installStructuredClone(global);
  installTextEncoding(global);
  installBase64(global);
  installEvents(global);
  installAbort(global);
  installUrl(global, port);
  defineInterface(global, "DOMException", DOMException);
  // As in every runtime of the web, and what libraries ask for before they make code from text.
  defineValue(global, "self", global);
  installPerformance(global, port);
  installFetch(global);
}

/** Functions that are not strict have properties that lead to who called them. Bundlers forget what modules imply. */
function isStrict(this: unknown): boolean {
  return this === undefined;
}
