/**
 * Preloaded by worlds that are to be broken: changes the source of the engine while it is loaded, as the planted bug named by
 * AION_PLANTED says. The engine itself holds no switch, so no build can have one on.
 */
import { registerHooks } from "node:module";
import path from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { plantedBugs } from "./planted-bugs.ts";

const root = path.dirname(import.meta.dirname);
const name = process.env["AION_PLANTED"];
const bug = plantedBugs.find((of) => of.name === name);
if (bug === undefined) throw new Error(`no planted bug is named ${JSON.stringify(name)}`);

registerHooks({
  load: (url, context, nextLoad) => {
    const loaded = nextLoad(url, context);
    if (!url.startsWith("file:")) return loaded;
    const file = path.relative(root, fileURLToPath(url)).replaceAll(path.sep, "/");
    const edits = bug.edits.filter((edit) => edit.file === file);
    if (edits.length === 0) return loaded;
    let text = Buffer.from(loaded.source as Uint8Array).toString("utf8");
    for (const { find, replace } of edits) {
      const parts = text.split(find);
      if (parts.length !== 2)
        throw new Error(`${bug.name}: ${parts.length - 1} places in ${file} are ${find}`);
      text = parts.join(replace);
    }
    return { ...loaded, source: text };
  },
});
