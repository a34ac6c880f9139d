/** The numbers of a date, in the order they were met. */
export class DayParts {
  readonly numbers: number[] = [];
  namedMonth: number | undefined;
  isIso = false;

  add(value: number): boolean {
    return this.numbers.length < 3 && this.numbers.push(value) > 0;
  }

  /** Year, month (1-based) and day. */
  resolve(): readonly [number, number, number] | undefined {
    const count = this.numbers.length;
    if (count === 0) return undefined;
    const [first = 1, second = 1, third = 1] = this.numbers;
    let year = 0;
    let month: number;
    let day: number;
    // A short date has been filled up with ones by now, as V8 does it.
    if (this.namedMonth !== undefined) {
      month = this.namedMonth;
      if (isDay(first)) [day, year] = [first, second];
      else [year, day] = [first, second];
    } else if (this.isIso || !isDay(first)) {
      [year, month, day] = [first, second, third];
    } else {
      [month, day, year] = [first, second, third];
    }
    if (!this.isIso) year += year >= 0 && year <= 49 ? 2000 : year >= 50 && year <= 99 ? 1900 : 0;
    return month >= 1 && month <= 12 && isDay(day) ? [year, month, day] : undefined;
  }
}

function isDay(value: number): boolean {
  return value >= 1 && value <= 31;
}

export class TimeParts {
  readonly numbers: number[] = [];
  halfDay: number | undefined;

  get isEmpty(): boolean {
    return this.numbers.length === 0;
  }

  add(value: number): boolean {
    return this.numbers.length < 4 && this.numbers.push(value) > 0;
  }

  addFinal(value: number): void {
    this.add(value);
    while (this.add(0));
  }

  isExpecting(value: number): boolean {
    const max = [undefined, 59, 59, 999][this.numbers.length];
    return max !== undefined && value <= max;
  }

  resolveMs(): number | undefined {
    const [given = 0, minute = 0, second = 0, ms = 0] = this.numbers;
    if (this.halfDay !== undefined && given > 12) return undefined;
    const hour = this.halfDay === undefined ? given : (given % 12) + this.halfDay;
    const isMidnight = hour === 24 && minute === 0 && second === 0 && ms === 0;
    if (!isMidnight && (hour > 23 || minute > 59 || second > 59 || ms > 999)) return undefined;
    return ((hour * 60 + minute) * 60 + second) * 1000 + ms;
  }
}

export class ZoneParts {
  sign: number | undefined;
  hour: number | undefined;
  minute: number | undefined;

  set(hours: number): void {
    this.sign = hours < 0 ? -1 : 1;
    this.hour = Math.abs(hours);
    this.minute = 0;
  }

  get isUtc(): boolean {
    return this.hour === 0 && this.minute === 0;
  }

  isExpecting(value: number): boolean {
    return this.hour !== undefined && this.minute === undefined && value <= 59;
  }

  /** UTC where none was named: this is the whole difference to V8. */
  resolveMs(): number | undefined {
    if (this.sign === undefined) return 0;
    // Unsigned, as V8 reckons.
    const seconds = ((this.hour ?? 0) * 3600 + (this.minute ?? 0) * 60) >>> 0;
    return seconds > 2_147_483_647 ? undefined : this.sign * seconds * 1000;
  }
}
