@echo off
rem The bundled llama-server: the same flags, with the llama.cpp in this project's venv.
setlocal
set "project=%~dp0..\..\.."
set "PYTHONPATH=%project%"
set "python=%LLM_GATEWAY_PYTHON%"
if not defined python set "python=%project%\venv\Scripts\python.exe"
if not exist "%python%" set "python=%project%\.venv\Scripts\python.exe"
"%python%" -P -m engine.llamacpp.bundled %*
exit /b %ERRORLEVEL%
