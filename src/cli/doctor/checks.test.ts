import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { createServer as createTcpServer } from "node:net";
import { describe, expect, it } from "vitest";
import { AionError } from "../../core/errors.ts";
import type { StoreFacts } from "../../store/sqlite/inspection.ts";
import type { OwnerFacts } from "../../store/sqlite/owner.ts";
import type { PlaceFacts } from "./disk.ts";
import { checkNode, checkPort, checkSqlite } from "./machine.ts";
import {
  checkFile,
  checkFileSystem,
  checkLogSize,
  checkSpace,
  checkSync,
  formatBytes,
} from "./place-checks.ts";
import { checkServerClock, checkServerVersion, parseLive } from "./server-checks.ts";
import {
  checkBlocked,
  checkParked,
  checkClock,
  checkOwner,
  checkSchedules,
  checkTimers,
  checkVersion,
} from "./store-checks.ts";

const now = Date.UTC(2030, 0, 1);
const minute = 60_000;

const owner: OwnerFacts = {
  epoch: 1,
  pid: 4711,
  host: "here",
  endpoint: "aion.db.sock",
  claimedAt: now - 10 * minute,
  renewedAt: now - 5_000,
  leaseUntil: now + 25_000,
  isAlive: true,
  isGone: false,
  isHere: true,
};

const facts: StoreFacts = {
  runCount: 10,
  runningCount: 2,
  blockedCount: 0,
  parkedCount: 0,
  underWayCount: 0,
  dueCount: 0,
  messageCount: 0,
};

const mebibyte = 1024 * 1024;
const disk = {
  type: 0xef53,
  freeBytes: 5_000 * mebibyte,
  sizeBytes: 9_000 * mebibyte,
  freeFileCount: 9,
  fileCount: 10,
};
const file = {
  isFile: true,
  isReadable: true,
  isWritable: true,
  sizeBytes: 72 * 1024,
  logBytes: 0,
  nameCount: 1,
  isOurs: true,
};
const place: PlaceFacts = {
  path: "data/aion.db",
  directory: "data",
  isDirectoryThere: true,
  isDirectoryWritable: true,
  isDirectoryOpenToAll: false,
  file,
  disk,
};

describe("the check of the machine", () => {
  it.each([
    ["22.18.0", "failed"],
    ["24.0.0", "ok"],
    ["25.1.0", "ok"],
  ])("finds Node %s %s", (version, status) => {
    expect(checkNode(version).status).toBe(status);
  });

  it.each([
    ["3.37.2", "warning"],
    ["3.44.5", "warning"],
    ["3.44.6", "ok"],
    ["3.49.9", "warning"],
    ["3.50.6", "warning"],
    ["3.50.7", "ok"],
    ["3.51.2", "warning"],
    ["3.51.3", "ok"],
    ["3.53.4", "ok"],
    ["4.0.0", "ok"],
  ])("finds SQLite %s %s", (version, status) => {
    expect(checkSqlite(version).status).toBe(status);
  });

  it("finds a port free, taken by a web server, or by something else", async () => {
    const web = createServer((_request, response) => response.writeHead(404).end());
    const other = createTcpServer((socket) => {
      // Whoever asked may be gone by then.
      socket.on("error", () => undefined);
      socket.resume().end("220 mail\r\n");
    });
    const listen = (server: typeof web | typeof other): Promise<number> =>
      new Promise((resolve) =>
        server.listen(0, "127.0.0.1", () => resolve((server.address() as AddressInfo).port)),
      );
    const [webPort, otherPort] = await Promise.all([listen(web), listen(other)]);
    const taken = await Promise.all([checkPort(webPort), checkPort(otherPort)]);
    web.closeAllConnections();
    await Promise.all([web, other].map((server) => new Promise((resolve) => server.close(resolve))));
    expect(taken).toMatchObject([
      { status: "warning", facts: { isFree: false, isAion: false, answer: "HTTP status 404" } },
      { status: "warning", facts: { isFree: false, isAion: false, answer: "no answer to HTTP" } },
    ]);
    expect(await checkPort(webPort)).toMatchObject({ status: "ok", facts: { isFree: true } });
  });
});

describe("the check of the file", () => {
  it.each<[string, Partial<PlaceFacts>, string]>([
    ["that is as it should be", {}, "ok"],
    ["that has two names", { file: { ...file, nameCount: 2 } }, "failed"],
    ["that is a directory", { file: { ...file, isFile: false } }, "failed"],
    ["that may not be read", { file: { ...file, isReadable: false } }, "failed"],
    ["that may not be written", { file: { ...file, isWritable: false } }, "warning"],
    ["of another user", { file: { ...file, isOurs: false } }, "warning"],
    ["in a directory that may not be written", { isDirectoryWritable: false }, "warning"],
    ["in a directory that is open to all", { isDirectoryOpenToAll: true }, "warning"],
  ])("finds one %s", (_what, change, status) => {
    const finding = checkFile({ ...place, ...change });
    expect(finding.status).toBe(status);
    expect(finding.remedy === undefined).toBe(status === "ok");
  });

  it("tells a directory that is not there from a file that is not there", () => {
    const { file: _file, ...without } = place;
    expect(checkFile(without)).toMatchObject({ status: "failed", message: "there is no file data/aion.db" });
    expect(checkFile({ ...without, isDirectoryThere: false })).toMatchObject({
      status: "failed",
      message: "there is no directory data",
    });
  });

  it.each([
    ["ext4", 0xef53, "ok"],
    ["NFS", 0x6969, "warning"],
    ["CIFS", 0xff534d42, "warning"],
    ["FUSE", 0x65735546, "warning"],
    ["tmpfs", 0x01021994, "warning"],
  ])("finds a file on %s", (_name, type, status) => {
    expect(checkFileSystem({ ...place, disk: { ...disk, type } }, "linux").status).toBe(status);
    expect(checkFileSystem({ ...place, disk: { ...disk, type } }, "darwin").status).toBe("skipped");
  });

  it.each([
    [5_000 * mebibyte, 9, "ok"],
    [900 * mebibyte, 9, "warning"],
    [63 * mebibyte, 9, "failed"],
    [5_000 * mebibyte, 0, "failed"],
  ])("finds %d bytes and %d files free", (freeBytes, freeFileCount, status) => {
    expect(checkSpace({ ...place, disk: { ...disk, freeBytes, freeFileCount } }).status).toBe(status);
  });

  it.each([
    [0.3, "warning", "so fast that it cannot have got there"],
    [19, "warning", "so fast that it cannot have got there"],
    [21, "ok", "21 µs"],
    [4_000, "ok", "4 ms"],
    [60_000, "warning", "each commit waits"],
  ])("finds writes that take %d µs", (medianMicros, status, message) => {
    const finding = checkSync({ count: 25, medianMicros, maxMicros: 2 * medianMicros });
    expect(finding).toMatchObject({ status, message: expect.stringContaining(message) as string });
  });

  it("finds a log that nobody moves", () => {
    const large = { ...place, file: { ...file, logBytes: 300 * mebibyte } };
    expect([checkLogSize(place).status, checkLogSize(large).status]).toEqual(["ok", "warning"]);
  });

  it.each([
    [0, "0 bytes"],
    [1_536, "1.5 KiB"],
    [20 * 1_024, "20 KiB"],
    [3 * 1024 ** 4, "3.0 TiB"],
    [9_000 * 1024 ** 4, "9000 TiB"],
  ])("writes %d bytes as %s", (bytes, text) => {
    expect(formatBytes(bytes)).toBe(text);
  });
});

describe("the check of the owner", () => {
  const refusal = new AionError("transport_failed", "no answer within 1000 ms");
  const answered = { isAnswered: true } as const;
  const refused = { isAnswered: false, refusal } as const;
  const { endpoint: _endpoint, ...silent } = owner;

  it.each<[string, OwnerFacts | undefined, Parameters<typeof checkOwner>[1], string, string]>([
    ["nobody", undefined, undefined, "ok", "no engine has the store open"],
    ["one that answers", owner, answered, "ok", "and answers"],
    ["one that has no socket", silent, undefined, "ok", "serves no socket"],
    ["one that is gone", { ...owner, isGone: true, isAlive: false }, undefined, "ok", "has ended"],
    ["one that is frozen", owner, refused, "failed", "no answer within 1000 ms"],
    [
      "one that is frozen for longer than its lease",
      { ...owner, isAlive: false },
      refused,
      "failed",
      "no answer",
    ],
    [
      "one without a socket whose lease is over",
      { ...silent, isAlive: false },
      undefined,
      "failed",
      "lease is over",
    ],
    [
      "one of another machine",
      { ...owner, isHere: false },
      undefined,
      "warning",
      "cannot be reached from here",
    ],
    [
      "one of another machine whose lease is over",
      { ...owner, isHere: false, isAlive: false },
      undefined,
      "ok",
      "the next engine takes over",
    ],
  ])("finds %s", (_what, who, ping, status, message) => {
    expect(checkOwner(who, ping, now)).toMatchObject({
      status,
      message: expect.stringContaining(message) as string,
    });
  });
});

describe("the check of the versions", () => {
  it.each<[string, Partial<StoreFacts>, string]>([
    ["a store of this version", { lastVersion: "1.2.0", newestVersion: "1.2.0" }, "ok"],
    ["a store of an older one", { lastVersion: "1.1.0", newestVersion: "1.1.0" }, "ok"],
    ["a store of a newer one", { lastVersion: "1.2.0", newestVersion: "1.3.0" }, "warning"],
    ["an engine of an older one", { lastVersion: "1.1.0", newestVersion: "1.2.0", owner }, "warning"],
    ["a store that says nothing", {}, "ok"],
  ])("finds %s", (_what, change, status) => {
    expect(checkVersion({ ...facts, ...change }, "1.2.0").status).toBe(status);
  });
});

describe("the check of a server", () => {
  it.each([
    ["1.2.0", "ok"],
    ["1.1.0", "warning"],
  ])("finds its version %s %s", (version, status) => {
    expect(checkServerVersion(version, "1.2.0").status).toBe(status);
  });

  it.each([
    [0, "ok", "as this one"],
    [-1_900, "ok", "as this one"],
    [-60_000, "warning", "behind this one by 1m"],
    [60_000, "warning", "ahead of this one by 1m"],
  ])("finds its clock %d ms ahead", (aheadMs, status, message) => {
    expect(checkServerClock(new Date(now + aheadMs).toUTCString(), now + (now % 1_000))).toMatchObject({
      status,
      message: expect.stringContaining(message) as string,
    });
  });

  it("does without a clock that is not told", () => {
    expect(checkServerClock(undefined, now).status).toBe("skipped");
  });

  it.each([
    ['{"isLive":true,"pid":1,"version":"1.2.0"}', { pid: 1, version: "1.2.0" }],
    ['{"isLive":true}', {}],
    ['{"isLive":false}', undefined],
    ["null", undefined],
    ["<html>", undefined],
  ])("takes %s for %j", (text, live) => {
    expect(parseLive(text)).toEqual(live);
  });
});

describe("the check of the clock", () => {
  it.each<[string, Partial<StoreFacts>, string, string]>([
    ["records of the past", { latestAt: now - 1 }, "ok", "nothing in the store"],
    ["a hair's breadth", { latestAt: now + 900 }, "ok", "nothing in the store"],
    ["records of the future", { latestAt: now + 5 * minute }, "warning", "5m from now"],
    [
      "an owner elsewhere whose clock is ahead",
      { latestAt: now + 5 * minute, owner: { ...owner, isHere: false, renewedAt: now + 5 * minute } },
      "warning",
      "the clock of here, where the engine runs, is ahead",
    ],
    ["a store without a run", {}, "ok", "nothing in the store"],
  ])("finds %s", (_what, change, status, message) => {
    expect(checkClock({ ...facts, ...change }, now)).toMatchObject({
      status,
      message: expect.stringContaining(message) as string,
    });
  });
});

describe("the check of the runs", () => {
  it("finds those of which activities are parked", () => {
    expect(checkParked(facts).status).toBe("ok");
    expect(checkParked({ ...facts, parkedCount: 1 })).toMatchObject({
      status: "warning",
      message: "activities of 1 of 2 running runs wait for an operator",
    });
  });

  it("finds those that are blocked", () => {
    expect(checkBlocked(facts).status).toBe("ok");
    expect(checkBlocked({ ...facts, blockedCount: 1 })).toMatchObject({
      status: "warning",
      message: "1 of 2 running runs cannot go on until somebody acts",
    });
  });

  it.each<[string, Partial<StoreFacts>, string, string]>([
    ["nothing to do", {}, "ok", "nothing waits for an engine"],
    ["nothing to do for the engine", { owner }, "ok", "no timer is overdue"],
    ["an engine at work", { owner, underWayCount: 2, messageCount: 1 }, "ok", "no timer is overdue"],
    [
      "an engine that does not keep up",
      { owner, dueCount: 3, dueSince: now - 90 * minute },
      "warning",
      "by 1h 30m",
    ],
    ["what waits for an engine", { underWayCount: 2 }, "warning", "2 runs that were under way"],
    ["messages that wait for one", { messageCount: 1 }, "warning", "1 messages"],
    [
      "timers that wait for one",
      { dueCount: 10_000, dueSince: now - minute },
      "warning",
      "10000 or more runs",
    ],
    [
      "a dead engine",
      { owner: { ...owner, isAlive: false }, underWayCount: 1 },
      "warning",
      "no engine is running",
    ],
  ])("finds %s", (_what, change, status, message) => {
    expect(checkTimers({ ...facts, ...change }, now)).toMatchObject({
      status,
      message: expect.stringContaining(message) as string,
    });
  });
});

describe("the check of the schedules", () => {
  it("finds those that start nothing before the clock is where it was", () => {
    expect(checkSchedules({ count: 3, silent: [] }, now)).toMatchObject({
      status: "ok",
      facts: { count: 3, silentCount: 0 },
    });
    const silent = ["a", "b", "c", "d", "e", "f"].map((scheduleId, index) => ({
      scheduleId,
      untilAt: now + (index + 1) * minute,
    }));
    expect(checkSchedules({ count: 9, silent }, now)).toMatchObject({
      status: "warning",
      message: expect.stringMatching(
        /^"a", "b", "c", "d", "e" and 1 more start nothing for up to 6m/,
      ) as string,
      facts: { count: 9, silentCount: 6 },
    });
  });
});
