import { describe, expect, it } from "vitest";
import { FailedAttempts } from "./failed-attempts.ts";

const times = <Result>(count: number, work: (index: number) => Result): readonly Result[] =>
  Array.from({ length: count }, (_, index) => work(index));

describe("attempts that failed", () => {
  it("are too many above a number in a minute, until it has passed", () => {
    let now = 1_000_000;
    const failed = new FailedAttempts(3, () => now);
    expect(times(5, () => failed.count("192.0.2.1"))).toEqual([undefined, undefined, undefined, 60, 60]);
    now += 59_500;
    expect(failed.count("192.0.2.1")).toBe(1);
    now += 500;
    expect(failed.count("192.0.2.1")).toBeUndefined();
    now -= 500_000;
    expect(failed.count("192.0.2.1")).toBeUndefined();
  });

  it("of one address are none of another's", () => {
    const failed = new FailedAttempts(1, () => 0);
    expect(failed.count("192.0.2.1")).toBeUndefined();
    expect(failed.count("192.0.2.1")).toBe(60);
    expect(failed.count("192.0.2.2")).toBeUndefined();
  });

  it.each([
    ["2001:db8:0:1::1", "2001:db8:0:1:ffff:ffff:ffff:ffff", true],
    ["2001:db8:0:1::1", "2001:0DB8:0000:0001::2", true],
    ["2001:db8::1", "2001:db8:0:0:1::", true],
    ["2001:db8:0:1::1", "2001:db8:0:2::1", false],
    ["::1", "::2", true],
    ["fe80::1%eth0", "fe80::2%eth0", true],
  ])("of %s and %s: of one network: %s", (left, right, isOne) => {
    const failed = new FailedAttempts(1, () => 0);
    failed.count(left);
    expect(failed.count(right) === 60).toBe(isOne);
  });

  it("take no more memory than ten thousand addresses do", () => {
    const failed = new FailedAttempts(1, () => 0);
    times(25_000, (index) => failed.count(`address ${index}`));
    expect(failed.size).toBe(10_000);
    expect(failed.count("address 24999")).toBe(60);
    expect(failed.count("address 0")).toBeUndefined();
  });
});
