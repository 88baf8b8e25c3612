import { expect, test } from "vitest";
import { duration, withTime } from "../src/waiting";

test("a time is told rounded up", () => {
  expect([0.001, 11.2, 120, 121, 7201, 86400].map(duration)).toEqual(["1 s", "12 s", "120 s", "3 min", "3 h", "24 h"]);
});

test("when to try again is said once, and only where there is a when", () => {
  expect(withTime("The store is away.", 11.2)).toBe("The store is away. Try again in 12 s.");
  expect(withTime("You have used up your messages for now. Send this one in 12 s.", 11.2)).toBe(
    "You have used up your messages for now. Send this one in 12 s.",
  );
  expect(withTime("This is no picture.", null)).toBe("This is no picture.");
  expect(withTime("This is no picture.", undefined)).toBe("This is no picture.");
});
