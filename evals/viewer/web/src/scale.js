// Numbers on an axis. No DOM.

/**
 * Return round numbers that span a range.
 * @param {number} low
 * @param {number} high
 * @param {number} [count] about how many
 * @returns {number[]}
 */
export function ticks(low, high, count = 5) {
  if (!(high > low)) return [low];
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((one) => one >= rough * 0.999) ?? 10 * power;
  const found = [];
  for (let place = Math.ceil(low / step - 1e-9); place * step <= high + 1e-9 * step; place++) {
    found.push(Number((place * step).toPrecision(12)));
  }
  return found;
}

/**
 * Return the ends of an axis: those given, else of the values with a margin.
 * @param {number[]} values
 * @param {number|undefined} low
 * @param {number|undefined} high
 * @returns {[number, number]}
 */
export function ends(values, low, high) {
  const known = values.filter(Number.isFinite);
  let from = low ?? Math.min(...known);
  let to = high ?? Math.max(...known);
  if (!Number.isFinite(from) || !Number.isFinite(to)) return [0, 1];
  if (from === to) [from, to] = [from - (low === undefined ? 0.5 : 0), to + 0.5];
  const margin = 0.04 * (to - from);
  return [low ?? from - margin, high ?? to + margin];
}

/**
 * Return the point nearest to a place, of those that lie within a distance; distances are in the picture's units.
 * @template {{x: number, y: number}} P
 * @param {P[]} points
 * @param {number} x
 * @param {number} y
 * @param {number} reach
 * @returns {P|null}
 */
export function nearest(points, x, y, reach) {
  let best = null;
  let least = reach * reach;
  for (const point of points) {
    const distance = (point.x - x) ** 2 + (point.y - y) ** 2;
    if (distance <= least) [best, least] = [point, distance];
  }
  return best;
}
