/** What a process of the command imports first: an SDK whose spans go to the file that the environment names. */
import { appendFileSync } from "node:fs";
import { startSdk } from "./span-tree.ts";

const file = process.env["AION_TEST_SPANS"] ?? "";
startSdk((line) => appendFileSync(file, `${JSON.stringify(line)}\n`));
