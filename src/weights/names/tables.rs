//! The schemes as tables: what each calls the modules that timm calls so. A new scheme is a table here and a variant
//! of [`super::Scheme`]. Where a network's graph bears the scheme's own names, there is nothing to rename: [`Own`].
//!
//! In names, `{stage}` and `{block}` count from 0 (the block within its stage), `{flat}` counts blocks through all
//! stages, `{stages}` and `{blocks}` are how many there are, each also with `+1`; `{last}` is torchvision's number of
//! a block's projection, which the optional modules before it shift.

/// A module by timm's name and the scheme's.
pub(super) type Pair = (&'static str, &'static str);

/// A scheme whose names the graphs of its networks use themselves.
pub(super) struct Own {
    /// What people call it.
    pub title: &'static str,
    /// As of a [`Table`]; two for each way in which its networks begin.
    pub marks: &'static [&'static str],
}

pub(super) const TIMM: Own = Own {
    title: "timm",
    marks: &[
        "conv_stem.weight",
        "blocks.0.0.bn1.weight",
        "blocks.0.0.ghost1.primary_conv.0.weight",
        "layer1.0.conv1.weight",
        "layer1.0.conv2.weight",
    ],
};

pub(super) const TORCHVISION_SHUFFLENET_V2: Own =
    Own { title: "torchvision", marks: &["stage2.0.branch1.0.weight", "stage2.0.branch2.0.weight"] };

pub(super) const PYTORCHCV_IGCV3: Own = Own {
    title: "pytorchcv",
    marks: &["features.stage1.unit1.conv1.conv.weight", "features.stage1.unit1.conv2.conv.weight"],
};

/// torchvision's of detectors.
pub(super) const TORCHVISION_SSD: Own = Own {
    title: "torchvision",
    marks: &[
        "head.classification_head.module_list.0.weight",
        "head.regression_head.module_list.0.weight",
        "head.classification_head.module_list.0.1.weight",
        "head.regression_head.module_list.0.1.weight",
    ],
};

pub(super) const LUFFICC_SSD: Own = Own {
    title: "lufficc/SSD",
    marks: &["box_head.predictor.cls_headers.0.conv.0.weight", "box_head.predictor.reg_headers.0.conv.0.weight"],
};

pub(super) const PYTORCH_SSD: Own = Own {
    title: "qfgaohao/pytorch-ssd",
    marks: &["classification_headers.0.0.weight", "regression_headers.0.0.weight"],
};

/// A scheme that renames the graphs' modules.
pub(super) struct Table {
    /// What people call it.
    pub title: &'static str,
    /// Tensors by which it is recognised, and that no other scheme has: one, and another in case that is missing.
    pub marks: [&'static str; 2],
    /// Modules with parameters outside the blocks.
    pub outside: &'static [Pair],
    /// Modules outside the blocks by their output.
    pub values: &'static [Pair],
    /// A stage, where the scheme has them.
    pub stage: Option<&'static str>,
    /// A block.
    pub block: &'static str,
    /// Modules inside a block, for each form that its networks have.
    pub inside: &'static [(Form, &'static [Pair])],
}

/// The kinds of blocks that schemes name differently.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Form {
    /// 1x1, depthwise, 1x1: timm's InvertedResidual.
    Expanding,
    /// Depthwise, 1x1: timm's DepthwiseSeparable.
    Separable,
    /// k x k, 1x1: timm's EdgeResidual.
    Fused,
    /// One convolution: timm's ConvBnAct.
    Conv,
    /// A sandglass with its first depthwise convolution.
    Sandglass,
    /// A sandglass that starts with its reduction.
    SandglassTail,
}

pub(super) const TORCHVISION: Table = Table {
    title: "torchvision",
    marks: ["features.1.0.block.0.0.weight", "features.2.0.block.0.0.weight"],
    outside: &[
        ("conv_stem", "features.0.0"),
        ("bn1", "features.0.1"),
        ("conv_head", "features.{stages+1}.0"),
        ("bn2", "features.{stages+1}.1"),
        ("classifier", "classifier.1"),
    ],
    values: &[("bn1", "features.0"), ("bn2", "features.{stages+1}")],
    stage: Some("features.{stage+1}"),
    block: "features.{stage+1}.{block}",
    inside: &[
        (
            Form::Expanding,
            &[
                ("conv_pw", "block.0.0"),
                ("bn1", "block.0.1"),
                ("conv_dw", "block.1.0"),
                ("bn2", "block.1.1"),
                ("se.conv_reduce", "block.2.fc1"),
                ("se.conv_expand", "block.2.fc2"),
                ("conv_pwl", "block.{last}.0"),
                ("bn3", "block.{last}.1"),
            ],
        ),
        (
            Form::Separable,
            &[
                ("conv_dw", "block.0.0"),
                ("bn1", "block.0.1"),
                ("se.conv_reduce", "block.1.fc1"),
                ("se.conv_expand", "block.1.fc2"),
                ("conv_pw", "block.{last}.0"),
                ("bn2", "block.{last}.1"),
            ],
        ),
        (
            Form::Fused,
            &[("conv_exp", "block.0.0"), ("bn1", "block.0.1"), ("conv_pwl", "block.1.0"), ("bn2", "block.1.1")],
        ),
        (Form::Conv, &[("conv", "block.0.0"), ("bn1", "block.0.1")]),
    ],
};

pub(super) const TORCHVISION_MOBILENET_V2: Table = Table {
    title: "torchvision",
    marks: ["features.2.conv.1.0.weight", "features.3.conv.1.0.weight"],
    outside: &[
        ("conv_stem", "features.0.0"),
        ("bn1", "features.0.1"),
        ("conv_head", "features.{blocks+1}.0"),
        ("bn2", "features.{blocks+1}.1"),
        ("classifier", "classifier.1"),
    ],
    values: &[("bn1", "features.0"), ("bn2", "features.{blocks+1}")],
    stage: None,
    block: "features.{flat+1}",
    inside: &[
        (
            Form::Expanding,
            &[
                ("conv_pw", "conv.0.0"),
                ("bn1", "conv.0.1"),
                ("conv_dw", "conv.1.0"),
                ("bn2", "conv.1.1"),
                ("conv_pwl", "conv.2"),
                ("bn3", "conv.3"),
            ],
        ),
        (Form::Separable, &[("conv_dw", "conv.0.0"), ("bn1", "conv.0.1"), ("conv_pw", "conv.1"), ("bn2", "conv.2")]),
    ],
};

pub(super) const TORCHVISION_MOBILENET_V3: Table = Table {
    title: "torchvision",
    marks: ["features.1.block.0.0.weight", "features.2.block.0.0.weight"],
    outside: &[
        ("conv_stem", "features.0.0"),
        ("bn1", "features.0.1"),
        ("conv_head", "classifier.0"),
        ("classifier", "classifier.3"),
    ],
    values: &[("bn1", "features.0")],
    stage: None,
    block: "features.{flat+1}",
    inside: &[TORCHVISION.inside[0], TORCHVISION.inside[1], (Form::Conv, &[("conv", "0"), ("bn1", "1")])],
};

pub(super) const EFFICIENTNET_PYTORCH: Table = Table {
    title: "EfficientNet-PyTorch",
    marks: ["_blocks.0._depthwise_conv.weight", "_blocks.1._depthwise_conv.weight"],
    outside: &[
        ("conv_stem", "_conv_stem"),
        ("bn1", "_bn0"),
        ("conv_head", "_conv_head"),
        ("bn2", "_bn1"),
        ("classifier", "_fc"),
    ],
    values: &[],
    stage: None,
    block: "_blocks.{flat}",
    inside: &[
        (
            Form::Expanding,
            &[
                ("conv_pw", "_expand_conv"),
                ("bn1", "_bn0"),
                ("conv_dw", "_depthwise_conv"),
                ("bn2", "_bn1"),
                ("se.conv_reduce", "_se_reduce"),
                ("se.conv_expand", "_se_expand"),
                ("conv_pwl", "_project_conv"),
                ("bn3", "_bn2"),
            ],
        ),
        (
            Form::Separable,
            &[
                ("conv_dw", "_depthwise_conv"),
                ("bn1", "_bn1"),
                ("se.conv_reduce", "_se_reduce"),
                ("se.conv_expand", "_se_expand"),
                ("conv_pw", "_project_conv"),
                ("bn2", "_bn2"),
            ],
        ),
    ],
};

pub(super) const PYTORCH_CIFAR: Table = Table {
    title: "pytorch-cifar",
    marks: ["layers.0.conv1.weight", "layers.1.conv1.weight"],
    outside: &[("conv_stem", "conv1"), ("bn1", "bn1"), ("classifier", "linear")],
    // Its activations are no modules.
    values: &[("bn1.norm", "bn1")],
    stage: None,
    block: "layers.{flat}",
    inside: &[(Form::Separable, &[("conv_dw", "conv1"), ("bn1", "bn1"), ("conv_pw", "conv2"), ("bn2", "bn2")])],
};

pub(super) const PYTORCHCV: Table = Table {
    title: "pytorchcv",
    marks: ["features.stage1.unit1.body.dw_conv.conv.weight", "features.stage1.unit1.body.pw_conv.conv.weight"],
    outside: &[
        ("conv_stem", "features.init_block.conv"),
        ("bn1", "features.init_block.bn"),
        ("conv_head", "features.final_block.conv"),
        ("bn2", "features.final_block.bn"),
        ("classifier", "output"),
    ],
    values: &[("bn1", "features.init_block"), ("bn2", "features.final_block")],
    stage: Some("features.stage{stage+1}"),
    block: "features.stage{stage+1}.unit{block+1}",
    inside: &[
        (
            Form::Expanding,
            &[
                ("conv_pw", "body.bc_conv.conv"),
                ("bn1", "body.bc_conv.bn"),
                ("conv_dw", "body.dw_conv.conv"),
                ("bn2", "body.dw_conv.bn"),
                ("conv_pwl", "body.pw_conv.conv"),
                ("bn3", "body.pw_conv.bn"),
            ],
        ),
        (
            Form::Separable,
            &[
                ("conv_dw", "body.dw_conv.conv"),
                ("bn1", "body.dw_conv.bn"),
                ("conv_pw", "body.pw_conv.conv"),
                ("bn2", "body.pw_conv.bn"),
            ],
        ),
    ],
};

pub(super) const MOBILENEXT: Table = Table {
    title: "MobileNeXt",
    marks: ["features.1.conv.8.weight", "features.2.conv.8.weight"],
    outside: &[("conv_stem", "features.0.0"), ("bn1", "features.0.1"), ("classifier", "classifier.1")],
    values: &[("bn1", "features.0")],
    stage: None,
    block: "features.{flat+1}",
    inside: &[
        (
            Form::Sandglass,
            &[
                ("conv_dw1", "conv.0"),
                ("bn1", "conv.1"),
                ("conv_reduce", "conv.3"),
                ("bn2", "conv.4"),
                ("conv_expand", "conv.5"),
                ("bn3", "conv.6"),
                ("conv_dw2", "conv.8"),
                ("bn4", "conv.9"),
            ],
        ),
        (
            Form::SandglassTail,
            &[
                ("conv_reduce", "conv.0"),
                ("bn2", "conv.1"),
                ("conv_expand", "conv.2"),
                ("bn3", "conv.3"),
                ("conv_dw2", "conv.5"),
                ("bn4", "conv.6"),
            ],
        ),
    ],
};

pub(super) const MOBILENEXT_NESTED: Table = Table {
    title: "MobileNeXt nested",
    marks: ["features.1.conv.3.0.weight", "features.2.conv.3.0.weight"],
    inside: &[
        (
            Form::Sandglass,
            &[
                ("conv_dw1", "conv.0.0"),
                ("bn1", "conv.0.1"),
                ("conv_reduce", "conv.1"),
                ("bn2", "conv.2"),
                ("conv_expand", "conv.3.0"),
                ("bn3", "conv.3.1"),
                ("conv_dw2", "conv.4"),
                ("bn4", "conv.5"),
            ],
        ),
        (
            Form::SandglassTail,
            &[
                ("conv_reduce", "conv.0"),
                ("bn2", "conv.1"),
                ("conv_expand", "conv.2.0"),
                ("bn3", "conv.2.1"),
                ("conv_dw2", "conv.3"),
                ("bn4", "conv.4"),
            ],
        ),
    ],
    ..MOBILENEXT
};

pub(super) const MOBILENEXT_DAGGER: Table = Table {
    title: "MobileNeXt dagger",
    marks: ["_blocks.0.features.0.weight", "_blocks.1.features.0.weight"],
    outside: &[("conv_stem", "_conv_stem"), ("bn1", "_bn0"), ("bn2", "_bn1"), ("classifier", "_fc")],
    // Its activations are no modules.
    values: &[("bn1.norm", "_bn0")],
    stage: None,
    block: "_blocks.{flat}",
    inside: &[
        (
            Form::Sandglass,
            &[
                ("conv_dw1", "features.0"),
                ("bn1", "features.1"),
                ("conv_reduce", "features.3"),
                ("bn2", "features.4"),
                ("conv_expand", "features.5"),
                ("bn3", "features.6"),
                ("conv_dw2", "features.8"),
                ("bn4", "features.9"),
                ("se.conv_reduce", "_se_reduce"),
                ("se.conv_expand", "_se_expand"),
            ],
        ),
        (
            Form::SandglassTail,
            &[
                ("conv_reduce", "features.0"),
                ("bn2", "features.1"),
                ("conv_expand", "features.2"),
                ("bn3", "features.3"),
                ("conv_dw2", "features.5"),
                ("bn4", "features.6"),
                ("se.conv_reduce", "_se_reduce"),
                ("se.conv_expand", "_se_expand"),
            ],
        ),
    ],
};
