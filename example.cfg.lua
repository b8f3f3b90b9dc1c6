-- Configuration of the gateway: plain Lua, and the only file to edit.
-- docs/configuration.md explains every key. To check your changes without a start:
--     ./run.sh -c example.cfg.lua --check

server = {
  listen_v4 = "127.0.0.1:7777", -- "0.0.0.0:7777" serves your whole network, without a password
  listen_v6 = "none",           -- or "[::1]:7777"

  engine_startup_timeout = 300, -- seconds that a model may take to load
  engine_idle_timeout = 900,    -- seconds without a request until the engine is stopped
}

-- The bundled model: small, and ready at once.
-- A request starts the smallest variant whose context holds its prompt and its answer.

local function smollm2(context)
  return {
    -- binary = "/path/to/llama-server", -- without it: the bundled engine
    args = { "-m", presets.bundled.model, "-c", context, "-np", 1 },
    context = context,
  }
end

local smollm2_model = {
  engine = presets.engines.llamacpp,
  name = "smollm2-135m-instruct", -- the "model" in requests
  aliases = { "smollm2" },
  -- without connect, the gateway picks a free port for the engine
  variants = { smollm2(2048), smollm2(4096), smollm2(8192) },
}

-- Your own llama.cpp, here with Qwen3-30B-A3B, a mixture-of-experts model, on one GPU with 8 GB or
-- more: change the paths, remove the dashes, and add qwen3_model to `models` below.

-- local llama = "~/llama.cpp/build/bin/"
-- local gguf = "~/models/Qwen3-30B-A3B-Instruct-2507-Q4_K_M.gguf"
--
-- local function qwen3(context, cpu_moe_layers)
--   return {
--     binary = llama .. "llama-server",
--     args = get_llama_moe_args({
--       model = gguf,
--       context = context,
--       cpu_moe_layers = cpu_moe_layers, -- layers whose experts stay in main memory;
--       cache_type = "q8_0",             -- fewer are faster, and take more GPU memory
--       ubatch = 2048,                   -- faster prefill of long prompts, for about 1 GB
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
--   engine_idle_timeout = 1800, -- a model or a variant may override the settings of server
-- }

models = { smollm2_model }
