@rem The same as lua51, under the name that a search for lua51.exe finds.
@"%LLM_GATEWAY_PYTHON%" -S "%~dp0interpreter.py" %*
