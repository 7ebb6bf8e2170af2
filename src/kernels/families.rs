//! The table of families: which text each shader is made of, what it binds and what it asks of a device.

#[cfg(not(feature = "web"))]
use super::SUBGROUP_LANES;
use super::text::{self, wgsl};
use super::{KernelKey, QUAD_LANES, Role};
use super::{
    channel_copy, conv, depthwise, depthwise_pointwise, elementwise, expand_depthwise, fused, global_pool, head_pool,
    inverted_residual, pointwise, pool, resize_normalize, squeeze_excite,
};
#[cfg(not(feature = "web"))]
use super::{excite_pointwise, l2_norm, sandglass};
use std::borrow::Cow;

/// A kernel family: one shader and what it binds.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    /// Name of the family: `shaders/<name>.wgsl`, [`KernelKey::shader`].
    pub name: &'static str,
    /// What the shader binds; [`Role`]'s discriminants are the binding numbers.
    pub bindings: &'static [Role],
    /// How many lanes every subgroup of its device must have; 0 where it has no subgroup operations.
    pub subgroup_lanes: u32,
    /// The WGSL pieces in order, behind those of [`Storage`].
    pub(super) parts: &'static [&'static str],
    /// Bytes of workgroup memory of a key.
    pub(super) workgroup_bytes: fn(&KernelKey) -> u32,
}

const EXCITE: &str = wgsl!("common/excite.wgsl");
const EXCITE_PARAMS: &str = wgsl!("common/excite_params.wgsl");
const ACTIVATION: &str = wgsl!("common/activation.wgsl");
const JOIN: &str = wgsl!("common/join.wgsl");
const CONV: &str = wgsl!("common/conv.wgsl");
const HEAD_POOL: &str = wgsl!("common/head_pool.wgsl");
const PLACE: &str = wgsl!("common/place.wgsl");
const POINTWISE: &str = wgsl!("common/pointwise.wgsl");
const PRODUCT: &str = wgsl!("common/product.wgsl");
// No adapter of a browser is known to gain from these.
#[cfg(not(feature = "web"))]
const SUBGROUP_STORE: &str = wgsl!("common/subgroup_store.wgsl");
#[cfg(not(feature = "web"))]
const SUBGROUP_TILE: &str = wgsl!("common/subgroup_tile.wgsl");
const SWAP: &str = wgsl!("common/swap.wgsl");
const SWAP_PRODUCT: &str = wgsl!("common/swap_product.wgsl");
const SWAP_STORE: &str = wgsl!("common/swap_store.wgsl");
const TILE: &str = wgsl!("common/tile.wgsl");

/// Every family.
pub const FAMILIES: &[Family] = &[
    Family {
        name: pointwise::NAME,
        bindings: &[Role::Params, Role::Input, Role::Weights, Role::Output, Role::Gate, Role::Residual],
        subgroup_lanes: 0,
        parts: &[ACTIVATION, JOIN, TILE, PLACE, POINTWISE, PRODUCT, wgsl!("pointwise.wgsl")],
        workgroup_bytes: pointwise::workgroup_bytes,
    },
    #[cfg(not(feature = "web"))]
    Family {
        name: pointwise::SUBGROUP_NAME,
        bindings: &[Role::Params, Role::Input, Role::Weights, Role::Output, Role::Gate, Role::Residual],
        subgroup_lanes: SUBGROUP_LANES,
        parts: &[ACTIVATION, JOIN, PLACE, POINTWISE, SUBGROUP_TILE, SUBGROUP_STORE, wgsl!("pointwise_subgroup.wgsl")],
        workgroup_bytes: |_| 0,
    },
    Family {
        name: pointwise::SWAP_NAME,
        bindings: &[Role::Params, Role::Input, Role::Weights, Role::Output, Role::Gate, Role::Residual],
        subgroup_lanes: QUAD_LANES,
        parts: &[ACTIVATION, JOIN, PLACE, POINTWISE, SWAP, SWAP_PRODUCT, SWAP_STORE, wgsl!("pointwise_swap.wgsl")],
        workgroup_bytes: |_| 0,
    },
    Family {
        name: depthwise::NAME,
        bindings: &[Role::Params, Role::Input, Role::Weights, Role::Output, Role::Residual, Role::Squeeze],
        subgroup_lanes: 0,
        parts: &[ACTIVATION, JOIN, wgsl!("depthwise.wgsl")],
        workgroup_bytes: |_| 0,
    },
    Family {
        name: expand_depthwise::NAME,
        bindings: &[
            Role::Params,
            Role::Input,
            Role::Weights,
            Role::Output,
            Role::Residual,
            Role::Squeeze,
            Role::NextWeights,
        ],
        subgroup_lanes: 0,
        parts: &[ACTIVATION, JOIN, fused::SHARED, fused::EXPAND, fused::EXPAND_INPUT, wgsl!("expand_depthwise.wgsl")],
        workgroup_bytes: |_| fused::BYTES,
    },
    Family {
        name: depthwise_pointwise::NAME,
        bindings: &[Role::Params, Role::Input, Role::Weights, Role::Output, Role::Residual, Role::NextWeights],
        subgroup_lanes: 0,
        parts: &[ACTIVATION, JOIN, fused::SHARED, fused::FILTER, fused::PROJECT, wgsl!("depthwise_pointwise.wgsl")],
        workgroup_bytes: |_| fused::BYTES,
    },
    Family {
        name: inverted_residual::NAME,
        bindings: &[
            Role::Params,
            Role::Input,
            Role::Weights,
            Role::Output,
            Role::Residual,
            Role::NextWeights,
            Role::ThirdWeights,
        ],
        subgroup_lanes: 0,
        parts: &[
            ACTIVATION,
            JOIN,
            fused::SHARED,
            fused::EXPAND,
            fused::EXPAND_INPUT,
            fused::PROJECT,
            wgsl!("inverted_residual.wgsl"),
        ],
        workgroup_bytes: |_| fused::BYTES,
    },
    #[cfg(not(feature = "web"))]
    Family {
        name: sandglass::NAME,
        bindings: &[
            Role::Params,
            Role::Input,
            Role::Weights,
            Role::Output,
            Role::Residual,
            Role::NextWeights,
            Role::ThirdWeights,
            Role::FrontWeights,
        ],
        subgroup_lanes: 0,
        parts: &[
            ACTIVATION,
            JOIN,
            fused::SHARED,
            fused::FILTER,
            fused::EXPAND,
            fused::PROJECT,
            wgsl!("sandglass.wgsl"),
        ],
        workgroup_bytes: |_| fused::BYTES,
    },
    Family {
        name: conv::NAME,
        bindings: &[Role::Params, Role::Input, Role::Weights, Role::Output, Role::Residual],
        subgroup_lanes: 0,
        parts: &[ACTIVATION, JOIN, TILE, PLACE, CONV, wgsl!("conv.wgsl")],
        workgroup_bytes: |_| 0,
    },
    #[cfg(not(feature = "web"))]
    Family {
        name: conv::SUBGROUP_NAME,
        bindings: &[Role::Params, Role::Input, Role::Weights, Role::Output, Role::Residual],
        subgroup_lanes: SUBGROUP_LANES,
        parts: &[ACTIVATION, JOIN, PLACE, CONV, SUBGROUP_TILE, SUBGROUP_STORE, wgsl!("conv_subgroup.wgsl")],
        workgroup_bytes: |_| 0,
    },
    Family {
        name: conv::SWAP_NAME,
        bindings: &[Role::Params, Role::Input, Role::Weights, Role::Output, Role::Residual],
        subgroup_lanes: QUAD_LANES,
        parts: &[ACTIVATION, JOIN, PLACE, CONV, SWAP, SWAP_STORE, wgsl!("conv_swap.wgsl")],
        workgroup_bytes: |_| 0,
    },
    Family {
        name: squeeze_excite::NAME,
        bindings: &[Role::Params, Role::Input, Role::Weights, Role::Output],
        subgroup_lanes: 0,
        parts: &[ACTIVATION, EXCITE_PARAMS, EXCITE, wgsl!("squeeze_excite.wgsl")],
        workgroup_bytes: squeeze_excite::workgroup_bytes,
    },
    Family {
        name: squeeze_excite::SUBGROUP_NAME,
        bindings: &[Role::Params, Role::Input, Role::Weights, Role::Output],
        subgroup_lanes: QUAD_LANES,
        parts: &[ACTIVATION, EXCITE_PARAMS, wgsl!("squeeze_excite_subgroup.wgsl")],
        workgroup_bytes: |_| 0,
    },
    #[cfg(not(feature = "web"))]
    Family {
        name: excite_pointwise::NAME,
        bindings: &[
            Role::Params,
            Role::Input,
            Role::Weights,
            Role::Output,
            Role::Gate,
            Role::Residual,
            Role::NextWeights,
            Role::Sums,
        ],
        subgroup_lanes: 0,
        parts: &[
            ACTIVATION,
            JOIN,
            TILE,
            PLACE,
            POINTWISE,
            PRODUCT,
            EXCITE_PARAMS,
            EXCITE,
            wgsl!("excite_pointwise.wgsl"),
        ],
        workgroup_bytes: |_| excite_pointwise::BYTES,
    },
    Family {
        name: head_pool::NAME,
        bindings: &[Role::Params, Role::Input, Role::Weights, Role::Output],
        subgroup_lanes: 0,
        parts: &[ACTIVATION, TILE, HEAD_POOL, wgsl!("head_pool.wgsl")],
        workgroup_bytes: head_pool::workgroup_bytes,
    },
    #[cfg(not(feature = "web"))]
    Family {
        name: head_pool::SUBGROUP_NAME,
        bindings: &[Role::Params, Role::Input, Role::Weights, Role::Output],
        subgroup_lanes: SUBGROUP_LANES,
        parts: &[ACTIVATION, HEAD_POOL, SUBGROUP_TILE, wgsl!("head_pool_subgroup.wgsl")],
        workgroup_bytes: |_| 0,
    },
    Family {
        name: head_pool::SWAP_NAME,
        bindings: &[Role::Params, Role::Input, Role::Weights, Role::Output],
        subgroup_lanes: QUAD_LANES,
        parts: &[ACTIVATION, HEAD_POOL, SWAP, SWAP_PRODUCT, wgsl!("head_pool_swap.wgsl")],
        workgroup_bytes: |_| 0,
    },
    Family {
        name: global_pool::NAME,
        bindings: &[Role::Params, Role::Input, Role::Output],
        subgroup_lanes: 0,
        parts: &[wgsl!("global_pool.wgsl")],
        workgroup_bytes: global_pool::workgroup_bytes,
    },
    Family {
        name: resize_normalize::NAME,
        bindings: &[Role::Params, Role::Input, Role::Weights, Role::Output],
        subgroup_lanes: 0,
        parts: &[wgsl!("resize_normalize.wgsl")],
        workgroup_bytes: |_| 0,
    },
    Family {
        name: elementwise::NAME,
        bindings: &[Role::Params, Role::Input, Role::Output, Role::Gate, Role::Residual],
        subgroup_lanes: 0,
        parts: &[ACTIVATION, JOIN, wgsl!("elementwise.wgsl")],
        workgroup_bytes: |_| 0,
    },
    #[cfg(not(feature = "web"))]
    Family {
        name: l2_norm::NAME,
        bindings: &[Role::Params, Role::Input, Role::Weights, Role::Output],
        subgroup_lanes: 0,
        parts: &[ACTIVATION, JOIN, wgsl!("l2_norm.wgsl")],
        workgroup_bytes: |_| 0,
    },
    Family {
        name: pool::NAME,
        bindings: &[Role::Params, Role::Input, Role::Output],
        subgroup_lanes: 0,
        parts: &[wgsl!("pool.wgsl")],
        workgroup_bytes: |_| 0,
    },
    Family {
        name: channel_copy::NAME,
        bindings: &[Role::Params, Role::Input, Role::Output, Role::Residual],
        subgroup_lanes: 0,
        parts: &[wgsl!("channel_copy.wgsl")],
        workgroup_bytes: |_| 0,
    },
];

/// The family of that name.
pub fn family(name: &str) -> Option<&'static Family> {
    FAMILIES.iter().find(|f| f.name == name)
}

/// The complete WGSL text of a key: its storage and what its family shares with others in front of
/// `shaders/<shader>.wgsl`, without the branches that its constants rule out.
pub fn source(key: &KernelKey) -> Option<Cow<'static, str>> {
    let family = family(key.shader)?;
    let mut parts = [&key.storage.prelude()[..], family.parts].concat();
    // Browsers demand the directive, naga does not know it.
    if cfg!(feature = "web") && family.subgroup_lanes > 0 {
        parts.insert(0, "enable subgroups;");
    }
    let text = parts.join("\n");
    let value = |name: &str| {
        let set = key.consts.iter().find(|c| c.0 == name).map(|c| c.1);
        set.or_else(|| depthwise::derived(key, name)).or_else(|| text::default(&text, name))
    };
    Some(Cow::Owned(text::without_dead_branches(&text, &value)))
}
