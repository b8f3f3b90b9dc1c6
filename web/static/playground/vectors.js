// How alike vectors are. Pure.

const STEPS = 5;

/** Return the cosine of the angle between two vectors: 1 is alike, 0 has nothing in common. */
export function cosine(one, other) {
  let [both, first, second] = [0, 0, 0];
  for (let index = 0; index < one.length; index += 1) {
    both += one[index] * other[index];
    first += one[index] ** 2;
    second += other[index] ** 2;
  }
  return first && second ? both / Math.sqrt(first * second) : 0;
}

/** Return the cosine of each pair: rows and columns in the order of the vectors. */
export function likeness(vectors) {
  return vectors.map((one) => vectors.map((other) => cosine(one, other)));
}

/** Return how strongly a value is coloured, from 0 to 5, between the least and the most of others. */
export function shade(value, values) {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  return high > low ? Math.round(((value - low) / (high - low)) * STEPS) : 0;
}

/** Return the lines of a text that are not empty. */
export function lines(text) {
  return text.split("\n").map((each) => each.trim()).filter(Boolean);
}
