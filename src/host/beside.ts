/**
 * What a thread beside the code does, since code that loops hears of nothing: while there is code at work it looks whether the engine's
 * process is still there, and, when the code moves no further for most of its budget, where it is. That is written behind the
 * words of the file of `busyFd`, for whoever ends this process.
 *
 * A script and no module: the thread is there before anything else is loaded.
 */
export const besideScript = `
  const { workerData: { state, budgetMs, fd, placeAt, placeBytes } } = require("node:worker_threads");
  const { Session } = require("node:inspector/promises");
  const { writeSync } = require("node:fs");
  const parent = process.ppid;
  const never = new Int32Array(new SharedArrayBuffer(4));
  const lookMs = Math.max(1, Math.min(2_000, budgetMs / 8));
  let seen = 0;
  let since = 0;
  let looked = 0;

  async function look(count) {
    const session = new Session();
    session.connectToMainThread();
    let alive;
    try {
      // What is not in JavaScript (a regular expression) does not stop, and this thread has more to look after. A session keeps no
      // thread alive; this does.
      const tooLate = new Promise((_, reject) => {
        alive = setTimeout(reject, 2_000);
      });
      await Promise.race([find(session, count), tooLate]);
    } finally {
      // Ends a pause, too, and one that was asked for.
      session.disconnect();
      clearTimeout(alive);
    }
  }

  async function find(session, count) {
    const urls = new Map();
    session.on("Debugger.scriptParsed", ({ params }) => urls.set(params.scriptId, params.url));
    const paused = new Promise((resolve) => session.once("Debugger.paused", resolve));
    await session.post("Debugger.enable");
    await session.post("Debugger.pause");
    const { params } = await paused;
    const places = params.callFrames.map(({ location }) => location);
    const found = places.find(({ scriptId }) => urls.get(scriptId)?.startsWith("aion-package:"));
    const place =
      found && urls.get(found.scriptId) + ":" + (found.lineNumber + 1) + ":" + (found.columnNumber + 1);
    const bytes = Buffer.alloc(placeBytes);
    // With what it was busy with then: by the time that it is read it may be another thing.
    if (place) bytes.write(count + " " + place);
    writeSync(fd, bytes, 0, placeBytes, placeAt);
    await session.post("Debugger.resume");
  }

  (async () => {
    for (;;) {
      Atomics.wait(state, 0, 0);
      Atomics.wait(never, 0, 0, lookMs);
      if (process.ppid !== parent) process.kill(process.pid, "SIGKILL");
      const count = Atomics.load(state, 1);
      if (count !== seen || Atomics.load(state, 0) === 0) [seen, since] = [count, performance.now()];
      else if (count !== looked && performance.now() - since > 0.6 * budgetMs) {
        looked = count;
        // Where it is helps an author; that it is not known changes nothing else.
        await look(count).catch(() => undefined);
      }
    }
  })();
`;
