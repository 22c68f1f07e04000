/** After which end a client comes back, and when (CLT-4). */

const LEAST_MS = 500;
const MOST_MS = 20_000;
const LAST_DOUBLING = 16;
const TRANSIENT = new Set([1001, 1006, 1011, 1012, 1013]);

/**
 * Tells whether a client connects again after a connection that ended with this close code.
 * @param {number} code
 */
export function comesBackAfter(code) {
  return TRANSIENT.has(code) || (code >= 4000 && code <= 4499);
}

/** How long to wait before the next attempt: full jitter below a ceiling that doubles, 0.5 s to 20 s. */
export class Backoff {
  #attempts = 0;
  #random;

  /** @param {() => number} random gives a number from 0 up to 1 */
  constructor(random) {
    this.#random = random;
  }

  /** Gives the milliseconds before the next attempt; the ceiling doubles with each. */
  delay() {
    const ceiling = Math.min(MOST_MS, LEAST_MS * 2 ** this.#attempts);
    this.#attempts = Math.min(this.#attempts + 1, LAST_DOUBLING);
    return this.#random() * ceiling;
  }

  /**
   * Takes note how long a connection lasted: one of 20 s was no failed attempt.
   * @param {number} ms
   */
  lasted(ms) {
    if (ms >= MOST_MS) this.#attempts = 0;
  }
}
