// Pictures that people attach: as engines read them, and not larger than is useful.

const LONGEST = 2048;
const READ_BY_ENGINES = ["image/jpeg", "image/png"];

/** Return a Blob of a picture, made smaller or converted where that is needed; null if it is none. */
export async function prepared(file) {
  let picture;
  try {
    picture = await createImageBitmap(file);
  } catch {
    return null;
  }
  const scale = Math.min(1, LONGEST / Math.max(picture.width, picture.height));
  if (scale === 1 && READ_BY_ENGINES.includes(file.type)) return file;
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(picture.width * scale));
  canvas.height = Math.max(1, Math.round(picture.height * scale));
  canvas.getContext("2d").drawImage(picture, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.9));
}

/** Return a Blob as a data URL. */
export function dataUrl(blob) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(blob);
  });
}

/** Return the Blob of a data URL. The page may connect to nothing but the gateway, so not by fetch. */
export function blobOf(url) {
  const [head, data] = url.split(",", 2);
  const bytes = Uint8Array.from(atob(data), (each) => each.charCodeAt(0));
  return new Blob([bytes], { type: /^data:([^;]+)/.exec(head)[1] });
}
