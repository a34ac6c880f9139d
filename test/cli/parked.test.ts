/** What an operator does about activities that wait for him, with the command. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Client } from "../../src/client/client.ts";
import { CommandTest } from "./command.ts";
import { workflow } from "../../src/workflow/index.ts";
import { approve, pay, providerKey, settle } from "./workflows.ts";

let test: CommandTest;
beforeEach(() => {
  test = new CommandTest();
  providerKey.isValid = false;
});
afterEach(() => test.dispose());

/** Runs of which two activities wait each. */
async function park(client: Client, ids: readonly string[]): Promise<void> {
  for (const id of ids) await client.start(settle, 7, { id });
  for (const id of ids)
    await expect.poll(async () => (await client.get(id).describe()).parked?.count).toBe(2);
}

const stdoutOf = async (command: readonly string[]): Promise<string> => {
  const { exitCode, stdout } = await test.run(command);
  expect(exitCode).toBe(0);
  return stdout;
};

describe("parked activities", () => {
  it("are listed with their reasons, and go on all at once when the cause is mended", async () => {
    const { client } = await test.openEngine();
    await park(client, ["s-1", "s-2"]);
    await client.start(approve, undefined, { id: "a-1" });
    const listed = await stdoutOf(["list", "--parked"]);
    expect(listed.match(/^s-\d +#[01] +pay +1 .*the key has .*expired$/gm)).toHaveLength(4);
    expect(listed).not.toContain("\u001b");
    expect(listed).not.toContain("a-1");
    expect(await stdoutOf(["count", "--parked"])).toBe("2\n");
    expect(await stdoutOf(["list"])).toMatch(/^s-1 +settle +running 2 parked /m);
    expect(await stdoutOf(["describe", "s-1"])).toMatch(
      /pay #0 +parked .*, attempt 1, failed 1×: the key has/,
    );
    providerKey.isValid = true;
    // The latest started comes first.
    expect(await stdoutOf(["resume", "--parked", "--type", "settle", "--reason", "renewed"])).toBe(
      "resumed s-2: #0, #1\nresumed s-1: #0, #1\n",
    );
    expect(await client.get("s-1").result()).toEqual(["paid 7", "paid 1"]);
    expect(await client.get("s-2").result()).toEqual(["paid 7", "paid 1"]);
    const history = await stdoutOf(["history", "s-1"]);
    expect(history).toMatch(/ActivityParked +pay #0, attempt 1, waits for an operator: KeyExpired: the key/);
    expect(history).toMatch(/ActivityResumed +pay #0, pay #1: renewed$/m);
    expect((await test.run(["resume", "--parked"])).stderr).toBe(
      "note: no activity is parked that matches\n",
    );
  });

  it("go on though those of another run cannot, which is told", async () => {
    const other = workflow("other", async () => await pay(1));
    const engine = await test.openEngine({ workflows: [settle, other] });
    await park(engine.client, ["s-1"]);
    await engine.client.start(other, undefined, { id: "o-1" });
    await expect.poll(async () => await engine.client.count({ isParked: true })).toBe(2);
    await park(engine.client, ["s-2"]);
    await engine.close();
    const { client } = await test.openEngine();
    providerKey.isValid = true;
    const { exitCode, stdout, stderr } = await test.run(["resume", "--parked"]);
    expect([exitCode, stdout]).toEqual([1, "resumed s-2: #0, #1\nresumed s-1: #0, #1\n"]);
    expect(stderr).toMatch(/^error\[run_blocked\]: workflow o-1 .*\nhint: .*\n$/);
    expect(await client.get("s-1").result()).toEqual(["paid 7", "paid 1"]);
    const again = await test.run(["resume", "--parked", "--json"]);
    expect([again.exitCode, JSON.parse(again.stdout)]).toMatchObject([
      1,
      { runs: [], refused: [{ workflowId: "o-1", error: { code: "run_blocked" } }] },
    ]);
  });

  it("are decided on one by one: tried again, completed, failed", async () => {
    const { client } = await test.openEngine();
    await park(client, ["s-1", "s-2"]);
    providerKey.isValid = true;
    const retry = ["resume", "s-1", "--activity", "1", "--request-id", "r-1"];
    expect(await stdoutOf(retry)).toBe("resumed s-1: #1\n");
    expect(await stdoutOf(retry)).toBe("resumed s-1: #1\n");
    expect(await stdoutOf(["resume", "s-1", "--activity", "0", "--result", '"by hand"'])).toBe(
      "resumed s-1: #0\n",
    );
    expect(await client.get("s-1").result()).toEqual(["by hand", "paid 1"]);
    expect(await stdoutOf(["history", "s-1"])).toMatch(
      /ActivityCompleted +pay #0, by an operator +"by hand"$/m,
    );
    await stdoutOf(["resume", "s-2", "--activity", "0", "--fail", "stolen", "--fail-type", "Fraud"]);
    const { stderr } = await test.run(["result", "s-2", "--wait"]);
    expect(stderr).toContain("Fraud: stolen");
    const late = await test.run(["resume", "s-2", "--activity", "1"]);
    expect([late.exitCode, late.stderr]).toEqual([1, expect.stringMatching(/^error\[run_closed\]/)]);
  });

  it("are told from a pause: what was not asked for, or says two things, is refused with what to do", async () => {
    const { client } = await test.openEngine();
    await park(client, ["s-1"]);
    await client.start(approve, undefined, { id: "a-1" });
    const refused: readonly (readonly [readonly string[], RegExp])[] = [
      [["resume", "s-1"], /s-1 is not paused; 2 of its activities wait for an operator\nhint: .*--parked/],
      [["resume"], /what is to be resumed is missing/],
      [["resume", "--activity", "1", "--parked"], /are for one run/],
      [["resume", "s-1", "--result", "1"], /are for one activity of one run/],
      [["resume", "s-1", "--parked", "--fail", "no"], /are for one activity of one run/],
      [["resume", "s-1", "--activity", "0", "--fail-type", "X"], /belongs to a --fail/],
      [["resume", "s-1", "--activity", "0", "--fail", "no", "--result", "1"], /cannot be used with/],
      [["resume", "s-1", "--activity", "-1"], /--activity must be a whole number from 0 to /],
      [["resume", "s-1", "--activity", ""], /--activity must be a whole number from 0 to /],
      [["resume", "s-1", "--parked", "--type", "other"], /a workflow id names one/],
    ];
    for (const [command, why] of refused) {
      const { exitCode, stdout, stderr } = await test.run(command);
      expect({ command, exitCode, stdout }).toEqual({ command, exitCode: 2, stdout: "" });
      expect(stderr).toMatch(why);
    }
    const none = await test.run(["resume", "a-1", "--parked"]);
    expect([none.exitCode, none.stderr]).toEqual([
      1,
      expect.stringMatching(/^error\[activity_not_parked\]: no activity/),
    ]);
    // A run that is paused goes on, and what is parked stays so.
    await client.get("s-1").pause();
    expect(await stdoutOf(["resume", "s-1"])).toBe("resumed s-1\n");
    expect((await client.get("s-1").describe()).parked?.count).toBe(2);
  });
});
