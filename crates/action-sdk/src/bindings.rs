//! What `wit/action.wit` says, as Rust. Generated at each build; the modules beside it are what to use.

wit_bindgen::generate!({
    path: "wit",
    world: "action",
    pub_export_macro: true,
    export_macro_name: "export_action",
    default_bindings_module: "countersign_action_sdk::bindings",
    runtime_path: "wit_bindgen::rt",
    additional_derives: [PartialEq, Eq],
    generate_unused_types: true,
});
