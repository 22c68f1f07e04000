/** When a client comes back (CLT-4); after which end it does says the contract. */

const LEAST_MS = 500;
const MOST_MS = 20_000;
const LAST_DOUBLING = 16;

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
