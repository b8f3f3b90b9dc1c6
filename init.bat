@echo off
rem Make or repair the environment in venv\: init.bat for running, init.bat speech with the engines that
rem hear and speak, init.bat dev for testing too.
setlocal
rem No block of parentheses around PYTHON: the path may hold some, and spaces.
if not defined PYTHON goto :search
set "PYTHON=%PYTHON:"=%"
"%PYTHON%" -c "import sys; sys.exit(sys.version_info < (3, 11))" >nul 2>nul
if not errorlevel 1 goto :named

:search
for %%P in ("%PYTHON%" "py -3" "python" "python3") do (
    %%~P -c "import sys; sys.exit(sys.version_info < (3, 11))" >nul 2>nul && (
        set "found=%%~P"
        goto :found
    )
)
echo llm-gateway: Python 3.11 or newer is needed and was not found. 1>&2
echo llm-gateway: install it from python.org, or name it: set PYTHON=C:\path\to\python.exe 1>&2
exit /b 1

:named
"%PYTHON%" -I "%~dp0utils\environment.py" %*
exit /b %ERRORLEVEL%

:found
%found% -I "%~dp0utils\environment.py" %*
exit /b %ERRORLEVEL%
