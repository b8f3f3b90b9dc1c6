-- Configuration of the gateway: this file is plain Lua, and the only one to edit.
-- Every key is explained in docs/configuration.md. To try your changes without a start:
--     ./run.sh -c example.cfg.lua --check

server = {
  listen_v4 = "127.0.0.1:7777", -- "0.0.0.0:7777" serves your whole network, without a password
  listen_v6 = "none",           -- or "[::1]:7777"

  engine_startup_timeout = 300, -- seconds that loading a model may take
  engine_idle_timeout = 900,    -- seconds without a request until its memory is freed
}

-- The model that comes with the gateway: small, and ready at once.
-- A request starts the smallest variant that holds its prompt and its answer.

local function smollm2(context)
  return {
    -- binary = "/path/to/llama-server", -- left out: the launcher that comes with the gateway
    args = { "-m", presets.bundled.model, "-c", context, "-np", 1 },
    context = context,
  }
end

local smollm2_model = {
  engine = presets.engines.llamacpp,
  name = "smollm2-135m-instruct", -- what clients put into "model"
  aliases = { "smollm2" },
  -- connect is left out: the gateway picks a free port for the engine
  variants = { smollm2(2048), smollm2(4096), smollm2(8192) },
}

-- Your own llama.cpp, here with Qwen3-30B-A3B, a mixture of experts, on one GPU with 8 GB or
-- more: change the paths, take the dashes away, and add qwen3_model to `models` below.

-- local llama = "~/llama.cpp/build/bin/"
-- local gguf = "~/models/Qwen3-30B-A3B-Instruct-2507-Q4_K_M.gguf"
--
-- local function qwen3(context, cpu_moe_layers)
--   return {
--     binary = llama .. "llama-server",
--     args = get_llama_moe_args({
--       model = gguf,
--       context = context,
--       cpu_moe_layers = cpu_moe_layers, -- layers whose experts stay in main memory; fewer
--       cache_type = "q8_0",             -- is faster and takes more of the GPU's memory
--       ubatch = 2048,                   -- reads long prompts faster, for about 1 GB
--       batch = 2048,
--     }),
--     context = context,
--     -- env = { CUDA_VISIBLE_DEVICES = "0" },
--   }
-- end
--
-- local qwen3_model = {
--   engine = presets.engines.llamacpp,
--   name = "qwen3-30b-instruct",
--   tokenization = { -- counts tokens while the engine does not run
--     binary = llama .. "llama-tokenize",
--     extra_args = { "-m", config_path(gguf) },
--   },
--   variants = { qwen3(8192, 24), qwen3(40960, 36), qwen3(131072, 48) },
--   engine_idle_timeout = 1800, -- a model may have times of its own, and so may a variant
-- }

models = { smollm2_model }
