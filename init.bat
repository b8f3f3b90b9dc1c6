@echo off
rem Make or repair the environment in venv\: init.bat for running, init.bat dev for testing too.
setlocal
for %%P in ("%PYTHON%" "py -3" "python" "python3") do (
    %%~P -c "import sys; sys.exit(sys.version_info < (3, 11))" >nul 2>nul && (
        set "found=%%~P"
        goto :found
    )
)
echo llm-gateway: Python 3.11 or newer is needed and was not found. 1>&2
echo llm-gateway: install it from python.org, or name it: set PYTHON=C:\path\to\python.exe 1>&2
exit /b 1

:found
%found% -I "%~dp0utils\environment.py" %*
exit /b %ERRORLEVEL%
