// mbconv's package as it is shipped.
import { load } from 'mbconv';

export async function prepare(folder, model) {
  const network = await load({ weights: `${folder}/weights.safetensors`, model, labels: [...Array(1000).keys()].map(String) });
  return async (input) => (await network.run(input)).outputs.logits.data;
}
