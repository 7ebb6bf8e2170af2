import { load, models, syntheticWeights, type Model, type Prediction, type Profile } from '../../index.js';

const model: Model = await load({ model: 'efficientnet_b0', weights: await syntheticWeights('efficientnet_b0') });
const one: Prediction[] = await model.classify(new Image(), { k: 3 });
const several: Prediction[][] = await model.classify([new ImageData(2, 2), new OffscreenCanvas(2, 2)]);
const features: Float32Array = await model.embed(new Float32Array(3));
const { outputs } = await model.run(new Float32Array(3), { shape: [1, 1, 1, 3], keep: ['conv_stem'] });
const profile: Profile = await model.profile(await createImageBitmap(new Blob()));
const { checks, passes } = await model.verify({ onStep: (step: number, steps: number) => console.log(step / steps) });
console.log(one[0].label, several.length, features, outputs.logits.data, profile.border.total, checks, passes, (await models())[0].name);
// @ts-expect-error: text is no picture
await model.classify('picture.png');
await model.dispose();
