// Conversations in this browser: IndexedDB, with images as Blobs in a place of their own.
//
// Where there is no database (some private windows), they last as long as the page.

const NAME = "llm-gateway";
const TALKS = "conversations";
const IMAGES = "images";

function done(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

/** Return the store; `lasts` says whether it is kept. */
export async function openStore() {
  try {
    const opening = indexedDB.open(NAME, 1);
    // A later version adds to what there is, and removes nothing.
    opening.onupgradeneeded = () => {
      opening.result.createObjectStore(TALKS, { keyPath: "id" });
      opening.result.createObjectStore(IMAGES);
    };
    return new Store(await done(opening));
  } catch {
    return new Store(null);
  }
}

class Store {
  #database;
  #memory = { [TALKS]: new Map(), [IMAGES]: new Map() };

  constructor(database) {
    this.#database = database;
  }

  get lasts() {
    return this.#database !== null;
  }

  /** Return all conversations, the one that changed last first. */
  async talks() {
    const all = this.lasts ? await this.#do(TALKS, "readonly", (each) => each.getAll()) : [...this.#memory[TALKS].values()];
    return all.sort((one, other) => other.changed - one.changed);
  }

  put(talk) {
    if (!this.lasts) return void this.#memory[TALKS].set(talk.id, talk);
    return this.#do(TALKS, "readwrite", (each) => each.put(talk));
  }

  /** Remove a conversation and these images. */
  async remove(talk, images) {
    if (!this.lasts) {
      this.#memory[TALKS].delete(talk.id);
      return;
    }
    await this.#do(TALKS, "readwrite", (each) => each.delete(talk.id));
    for (const id of images) await this.#do(IMAGES, "readwrite", (each) => each.delete(id));
  }

  image(id) {
    return this.lasts ? this.#do(IMAGES, "readonly", (each) => each.get(id)) : this.#memory[IMAGES].get(id);
  }

  putImage(id, blob) {
    if (!this.lasts) return void this.#memory[IMAGES].set(id, blob);
    return this.#do(IMAGES, "readwrite", (each) => each.put(blob, id));
  }

  #do(name, mode, act) {
    return done(act(this.#database.transaction(name, mode).objectStore(name)));
  }
}
