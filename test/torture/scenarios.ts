import { abuse } from "./abuse.ts";
import { backUpUnderLoad } from "./backup.ts";
import { jumpClock, liveInOtherTimes } from "./clock.ts";
import { flipBits } from "./damage.ts";
import { failWithEio, failWithEnospc } from "./disk-errors.ts";
import { killAtEverySync, killAtRandom } from "./kill.ts";
import { fillDisk } from "./full-disk.ts";
import { runOutOfMemory } from "./memory.ts";
import { openAgain } from "./opening.ts";
import { contendForFile, freezeOwner } from "./owners.ts";
import { cutPower } from "./power.ts";
import type { ScenarioOptions, ScenarioResult } from "./scenario.ts";

type Scenario = (options: ScenarioOptions) => Promise<ScenarioResult>;

/** By the names that `--only` takes. */
export const scenarios: Readonly<Record<string, readonly Scenario[]>> = {
  kill: [killAtEverySync, killAtRandom],
  opening: [openAgain],
  power: [cutPower],
  errors: [failWithEio, failWithEnospc],
  full: [fillDisk],
  freeze: [freezeOwner],
  owners: [contendForFile],
  clock: [jumpClock, liveInOtherTimes],
  damage: [flipBits],
  backup: [backUpUnderLoad],
  memory: [runOutOfMemory],
  abuse: [abuse],
};
